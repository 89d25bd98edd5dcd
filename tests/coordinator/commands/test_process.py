"""What `serve` asks of its process."""

import asyncio
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
import pytest

from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from tests import certificates


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_everything_that_it_writes_is_for_its_owner_alone(tools, tmp_path, open_umask):
    (tmp_path / "state").mkdir(mode=0o755)  # an operator may have made it
    options = ("--listen", f"unix:{tmp_path}/d.sock", "--metrics", f"unix:{tmp_path}/m.sock", "--log-level", "INFO")
    process = tools.Process(tmp_path / "state", *options)

    async def train():
        async with tools.connect(process.devices, process.admin) as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            await lab.contribute([3])

    asyncio.run(train())
    written = [path for path in tmp_path.rglob("*") if path.name != "state"]
    process.end(process.child.kill)
    assert {path.name for path in written} >= {"d.sock", "m.sock", "blobs", "log", "ledger.sqlite", "ledger.sqlite-wal"}
    for path in written:
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path


def test_it_may_open_as_many_files_as_the_system_allows(tools, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 256), hard))
    try:
        process = tools.Process(tmp_path / "state")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(process.child.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    _, log = process.end(process.child.terminate)
    assert f"at most {hard} open files" in log


def test_a_hangup_in_the_middle_of_an_upload_ends_nothing(tools, tmp_path):
    key, certificate = certificates.make(until=30)
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "certificate.pem").write_bytes(certificate)
    files = ("--admin-tls-certificate", tmp_path / "certificate.pem", "--admin-tls-key", tmp_path / "key.pem")
    process = tools.Process(tmp_path / "state", "--log-level", "INFO", *map(str, files))
    secured = grpc.ssl_channel_credentials(certificate)

    async def train():
        async with (
            grpc.aio.insecure_channel(process.devices) as one,
            grpc.aio.secure_channel(process.admin, secured) as other,
        ):
            lab = tools.Lab(tools.OverGrpc(one, other))
            task_id = await lab.create(tools.make_bundle(rounds=1, closing=tools.closing(1)))
            place, data = await lab.assignment(), tools.make_contribution(0)
            await lab.part(place, data, 0, 9)
            process.child.send_signal(signal.SIGHUP)
            while not any("SIGHUP" in line for line in log):
                log.append(await asyncio.to_thread(process.child.stderr.readline))
            await lab.part(place, data, 9)
            return (await lab.committed(task_id, 1)).checkpoint.sha256

    log = []
    assert asyncio.run(train()) == tools.expected_checkpoint([[0]])
    assert "admin_tls_certificate ends at" in log[-1]
    code, _ = process.end(process.child.terminate)
    assert code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_account_of_the_machine_cannot_call_an_admin_socket(tools, tmp_path):
    """Every account reaches a port of loopback. A socket is for its owner."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # others may look for what is in it
        admin = f"{folder}/admin.sock"
        process = tools.Process(tmp_path / "state", "--admin", f"unix:{admin}")

        def may(account, flag):
            return subprocess.run(["test", flag, admin], user=account, check=False).returncode == 0

        try:
            assert [may("root", "-w"), may("nobody", "-e"), may("nobody", "-w")] == [True, True, False]
        finally:
            process.end(process.child.terminate)


def test_a_process_ends_though_a_thread_hangs():
    code = (
        "import threading; from coordinator.commands import process; "
        "threading.Thread(target=threading.Event().wait).start(); process.end_within(0, 'the reason')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "the reason" in done.stderr) == (1, True)


def listed(operators):
    """The tasks, once the coordinator has started."""
    with grpc.insecure_channel(operators) as channel:
        while True:
            try:
                request = admin_pb2.ListTasksRequest()
                return list(AdminServiceStub(channel).ListTasks(request, timeout=60, wait_for_ready=True).tasks)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_it_serves_and_ends_well_when_the_disks_of_its_output_and_of_temporary_files_are_full(tmp_path):
    operators = f"unix:{tmp_path}/admin.sock"
    command = [sys.executable, "-m", "coordinator"]
    serve = [*command, "serve", "--state", tmp_path / "state", "--listen", f"unix:{tmp_path}/d.sock"]
    with Path("/dev/full").open("wb") as full:
        environment = os.environ | {"TMPDIR": "/dev/full"}
        child = subprocess.Popen([*serve, "--admin", operators], stdout=full, stderr=full, env=environment)
    try:
        assert listed(operators) == []
        child.terminate()
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
