"""A device's whole life under strace: what it writes, whom it talks to, and what it says."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from client_sdk.kernel import fedncf
from client_sdk.testing import LocalCoordinator
from export import bundle as bundles
from tests import plans
from tests.durability.server import Coordinator, Unmasker
from tests.durability.test_masking_kill import with_sums
from unmasker import Books, StateFolder

ITEM, VALUE = "an-unmistakable-item", "an-unmistakable-value"
LIFE = f"""
import sys, time
from pathlib import Path
from client_sdk import FedClient, Result, Unmasker
folder, address, population, *unmasker = sys.argv[1:]
options = {{}}
if unmasker:
    options["unmaskers"] = [Unmasker(unmasker[0], Path(unmasker[1]).read_bytes())]
    options["enrolment"] = ("open", b"")
with FedClient.open(folder, address, population, **options) as client:
    client.record({ITEM!r})
    client.set_attribute("gender", {VALUE!r})
    while client.sync().result is not Result.UPLOADED:  # the round's key may still be on its way
        time.sleep(0.1)
    assert len(client.recommend(k=3)) == 3
"""
ITEMS = [ITEM, "b", "c", "d", "e"]
CHANGES = re.compile(
    r"(mkdir|rename|unlink|link|symlink|chmod|chown|truncate|mknod|creat|utime|setxattr|rmdir)\w*\("
    r"|open\w*\(.*O_(WRONLY|RDWR|CREAT|TRUNC)"
)


@contextmanager
def plain(folder):
    """Serves a plain task. Gives what the device is told, and the addresses that it may call."""
    with LocalCoordinator(items=ITEMS, attribute="gender", classes=[VALUE, "other"]) as server:
        yield [server.address, server.population], {server.address}


@contextmanager
def secure(folder):
    """The same for a task with secure sums, whose unmasker may be called too."""
    Books.make(StateFolder(folder / "unmasker"), None).close()
    key, unmasker = folder / "unmasker" / "identity.pub", Unmasker(folder / "unmasker")
    plan = plans.make("fedncf", plans.GENDER | {"classes": [VALUE, "other"]}, server__clip_norm=0)
    widths = fedncf.Widths(gmf=2, mlp=2, hidden=(3,))
    bundles.write(with_sums(bundles.build("fedncf", ITEMS, plan, 1, widths), key), folder / "bundle")
    coordinator = Coordinator(folder, "--unmasker", unmasker.address, "--unmasker-key", key)
    unmasker.start()
    try:
        coordinator.start()
        coordinator.await_serving()
        coordinator.create_task(folder / "bundle", "films", "--rounds", 1, "--goal", 64, "--minimum", 64)
        address = coordinator.addresses[0]
        yield [address, "films", unmasker.devices, key], {address, unmasker.devices}
    finally:
        coordinator.abandon()
        unmasker.end(signal.SIGKILL)


@pytest.fixture(scope="module", params=[plain, secure], ids=lambda serving: serving.__name__)
def calls(request, tmp_path_factory):
    """The device's folder, the addresses that it may call, and the calls that succeeded, a line each."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace processes here")
    folder = tmp_path_factory.mktemp("strace")
    device, traces, elsewhere = (folder / name for name in ("device", "traces", "elsewhere"))
    traces.mkdir()
    elsewhere.mkdir()
    # A file a thread, so that no call is cut in two; file names and all bytes in full.
    strace = ["strace", "-ff", "-qq", "-s", "1000000", "-e", "trace=%file,%network", "-o", traces / "thread"]
    with request.param(folder) as (words, allowed):
        child = [sys.executable, "-B", "-c", LIFE, device, *words]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
        home = {"HOME": str(elsewhere), "TMPDIR": str(elsewhere)}
        subprocess.run([*strace, *child], check=True, env=environment | home, cwd=elsewhere)
    lines = [line for path in traces.iterdir() for line in path.read_text("utf-8", "replace").splitlines()]
    return device, allowed, [line for line in lines if not re.search(r"= -1 E(?!INPROGRESS)", line)]


def test_nothing_is_written_outside_the_state_folder(calls):
    device, _, lines = calls
    # Relative names too: the child began in another folder.
    written = {Path(name) for line in lines if CHANGES.match(line) for name in re.findall(r'"([^"]*)"', line)}
    assert device / "state.db" in written
    assert {path for path in written if not path.is_relative_to(device)} == set()


def test_nobody_is_talked_to_but_the_coordinator_and_the_apps_unmasker(calls):
    _, allowed, lines = calls
    addressed = [line for line in lines if re.match(r"(connect|send\w+)\(.*sa_family=", line)]
    assert {called(line) for line in addressed} == allowed


def called(line):
    """The address that a call names."""
    port, host = re.search(r"htons\((\d+)\)", line), re.search(r'"(?:::ffff:)?([0-9a-f.:]+)"', line)
    return f"{host and host[1]}:{port and port[1]}"


def test_no_item_and_no_attribute_is_said(calls):
    *_, lines = calls
    said = [line for line in lines if line.startswith("send")]
    assert any("UploadContribution" in line for line in said)
    for line in said:
        assert ITEM not in line
        assert VALUE not in line
