"""What operators see of a task that really runs: metrics, the watch, the log, and an orderly end."""

import asyncio
import re
import subprocess
import sys
import time
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fedau2.wire.status import StatusError
from tests import certificates

ATTRIBUTE, ITEM = "gender", "movie-"


def start(tools, folder, *options):
    return tools.Process(folder, "--metrics", "127.0.0.1:0", "--log-level", "DEBUG", *options)


def metrics_address(process):
    """The address, and the log until it was said."""
    log = ""
    for line in process.child.stderr:
        log += line
        if match := re.search(r"metrics on (\S+)", line):
            return match[1], log
    raise AssertionError(log)


def scraped(address):
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def live(lab, bundle, good):
    """Two rounds, with one of everything that can happen to a device.

    Returns:
        Bytes of fetched blobs, and the ids of all assignments.
    """
    assert (await lab.check_in()).WhichOneof("result") == "rejection"  # no task yet
    task_id = await lab.create(bundle)
    first = [await lab.assignment() for _ in range(3)]
    sent = len(await lab.fetch(first[0].checkpoint.sha256))
    await lab.fail(first[0])
    with pytest.raises(StatusError):
        await lab.upload(first[1], b"secret-of-a-device" * 3)
    await lab.upload(first[1], good[0])
    await lab.upload(first[1], good[0])
    await lab.upload(first[2], good[1])
    await lab.committed(task_id, 1)
    with pytest.raises(StatusError):
        await lab.upload(first[1], good[2])
    last = [await lab.assignment() for _ in range(4)]
    assert (await lab.check_in()).WhichOneof("result") == "rejection"  # no place left
    await lab.upload(last[0], good[2])
    await lab.upload(last[1], good[3])
    await lab.committed(task_id, 2)
    return sent, [each.assignment_id for each in (*first, *last)]


@pytest.fixture(scope="module")
def run(tools, tmp_path_factory):
    """The samples before the end, the log, and what must not be in it."""
    process = start(tools, tmp_path_factory.mktemp("observed") / "state")
    address, log = metrics_address(process)
    good = [tools.make_contribution(seed) for seed in range(4)]
    bundle = tools.make_bundle(rounds=2, closing=tools.closing(2))

    async def talk():
        async with tools.connect(process.devices, process.admin) as lab:
            return await live(lab, bundle, good)

    sent, ids = asyncio.run(talk())
    samples = scraped(address)
    code, rest = process.end(process.child.terminate)
    assert code == 0
    return samples, log + rest, good, sent, ids


def test_rounds_and_assignments_are_counted(run):
    samples = run[0]
    assert samples["fedau2_rounds_committed_total", "movies"] == 2
    assert samples["fedau2_assignments_total", "reported"] == 4
    assert samples["fedau2_assignments_total", "failed"] == 1


def test_rejections_and_refusals_are_counted_by_reason(run):
    samples = run[0]
    assert samples["fedau2_rejections_total", "no_task"] == 1
    assert samples["fedau2_rejections_total", "round_full"] == 1
    assert samples["fedau2_refused_uploads_total", "InvalidContributionError"] == 1
    assert samples["fedau2_refused_uploads_total", "DifferentContributionError"] == 1


def test_bytes_and_times_are_measured(run):
    samples, _, good, sent, _ = run
    assert samples["fedau2_received_bytes_total",] == sum(map(len, good))
    assert samples["fedau2_sent_bytes_total",] == sent
    for kind in ("sync", "fold"):
        assert samples[f"fedau2_{kind}_seconds_count",] > 0
        assert samples[f"fedau2_{kind}_seconds_sum",] > 0
    assert samples["fedau2_check_in_seconds_count",] == 9
    assert samples["fedau2_upload_seconds_count",] == 5  # those that were acknowledged


def test_sessions_have_shapes(run):
    samples = run[0]
    shapes = {key[1]: value for key, value in samples.items() if key[0] == "fedau2_sessions_total"}
    assert shapes == {"af": 1, "au!u+": 1, "au+": 3, "ac": 2}


def test_the_log_holds_nothing_of_a_device(run):
    _, log, good, _, ids = run
    assert " DEBUG " in log
    assert "round 1 committed with 2 contributions" in log
    assert "refused: InvalidContributionError" in log
    for word in (ATTRIBUTE, ITEM, "secret-of-a-device"):
        assert word not in log
    for secret in (*ids, *(data[:16] for data in good)):
        for shown in (secret.hex(), repr(secret)[2:-1]):
            assert shown not in log


def test_rounds_are_watched_as_they_commit(tools, tmp_path):
    process = tools.Process(tmp_path / "state")

    async def watched():
        async with tools.connect(process.devices, process.admin) as lab:
            task_id = await lab.create(tools.make_bundle(rounds=2, closing=tools.closing(1)))
            command = [sys.executable, "-m", "coordinator", "watch", task_id, "--admin", process.admin]
            watch = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            lines = []
            for number in range(2):
                while not (
                    lines and lines[-1].startswith(f"round {number} attempt 0 collecting: 0 reported, 0 leases")
                ):
                    lines.append((await watch.stdout.readline()).decode())
                    assert lines[-1], lines
                await lab.contribute([number])
            lines += (await watch.stdout.read()).decode().splitlines()
            assert await watch.wait() == 0  # by itself, since the task is over
            task = await lab.task(task_id)
            committed = [line.split() for line in lines if " committed: 1 reported" in line]
            assert [line[1] for line in committed] == ["0", "1"]
            assert committed[-1][-1] == task.checkpoint.sha256.hex()[:12]

    try:
        asyncio.run(watched())
    finally:
        process.end(process.child.terminate)


def test_an_upload_under_way_is_taken_while_draining(tools, tmp_path):
    process = start(tools, tmp_path / "state")
    address, _ = metrics_address(process)
    data = tools.make_contribution(0)

    async def drain():
        async with tools.connect(process.devices, process.admin) as lab:
            await lab.create(tools.make_bundle(rounds=1, closing=tools.closing(2)))
            assignment = await lab.assignment()
            draining = asyncio.Event()

            async def halting():
                async for request in tools.upload_requests(assignment.assignment_id, data):
                    if request.WhichOneof("part") == "data":
                        await draining.wait()
                    yield request

            upload = asyncio.ensure_future(lab.link.upload_call(halting()))
            while (await asyncio.to_thread(scraped, address))["fedau2_receiving",] == 0:
                await asyncio.sleep(0.01)
            process.child.terminate()
            while True:
                try:
                    await lab.check_in()
                except StatusError:
                    break
            draining.set()
            assert (await upload).HasField("next_check_in")

    asyncio.run(drain())
    code, _ = process.end(lambda: None)
    assert code == 0


def test_a_certificate_that_ends_soon_is_in_the_metrics_and_in_the_log(tools, tmp_path):
    key, certificate = certificates.make(until=3)
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "certificate.pem").write_bytes(certificate)
    files = ("--tls-certificate", str(tmp_path / "certificate.pem"), "--tls-key", str(tmp_path / "key.pem"))
    process = start(tools, tmp_path / "state", *files)
    address, log = metrics_address(process)
    left = scraped(address)["fedau2_certificate_end_timestamp_seconds", "tls_certificate"] - time.time()
    assert 2.9 * 86_400 < left < 3.1 * 86_400
    code, rest = process.end(process.child.terminate)
    assert code == 0
    assert re.search(r"WARNING .*tls_certificate ends at .*: renew it, which needs no restart", log + rest)
