"""The command line against a real child process, and the servers that it starts."""

import asyncio
import json
import os
import re
import resource
import signal
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coordinator.cli import main
from coordinator.commands.admin import explained
from fedau2.v1.admin_pb2_grpc import AdminServiceServicer, add_AdminServiceServicer_to_server
from fedau2.v1.device_pb2 import REJECTION_REASON_NO_TASK, CheckInRequest
from fedau2.v1.device_pb2_grpc import DeviceServiceStub
from fedau2.wire import manifest
from fedau2.wire.status import Status, StatusError
from tests import certificates


@pytest.fixture(scope="module")
def process(tools, tmp_path_factory):
    process = tools.Process(tmp_path_factory.mktemp("coordinator") / "state")
    yield process
    process.end(process.child.terminate)


def create(process, folder, *options):
    arguments = ["create-task", "--bundle", str(folder), "--population", "movies", "--rounds", "2", "--goal", "2"]
    return main([*arguments, "--admin", process.admin, *options])


def test_a_task_is_created_trained_and_shown(tools, tmp_path, process, capsys):
    tools.make_bundle().write(tmp_path / "bundle")
    assert create(process, tmp_path / "bundle") == 0
    output = capsys.readouterr()
    task_id = output.out.strip()
    assert "clip_norm is 0" in output.err
    assert "lease 300 s, deadline 600 s" in output.err

    async def train():
        async with tools.connect(process.devices, process.admin) as lab:
            await lab.contribute([0, 1])
            task = await lab.committed(task_id, 1)
            await lab.contribute([2])
            return task

    task = asyncio.run(train())
    for arguments in (["status", "--admin", process.admin], ["status", task_id, "--admin", process.admin]):
        assert main(arguments) == 0
        row = capsys.readouterr().out.splitlines()[1].split()
        assert row == [task_id, "movies", "running", "1/2", "1/2", "0", "0", task.checkpoint.sha256.hex()]
    assert main(["rounds", task_id, "--admin", process.admin]) == 0
    assert re.search(r"round 0 .* shared norm [0-9.]+, at most [0-9.]+ adversary norm ", capsys.readouterr().out)
    assert main(["status", "nothing", "--admin", process.admin]) == 1
    assert "no task 'nothing'" in capsys.readouterr().err
    back = ["rollback", task_id, "--admin", process.admin, "--to"]
    assert main([*back, "0"]) == 1
    assert "--yes" in capsys.readouterr().err
    assert main([*back, "0", "--yes"]) == 0
    assert capsys.readouterr().out == f"{task_id} running\n"
    assert main([*back, "1", "--yes"]) == 1
    assert "it keeps the rounds 0" in capsys.readouterr().err
    assert main(["status", task_id, "--json", "--admin", process.admin]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["kept_rounds"], shown["reported"]) == (["0"], 0)
    assert shown["norms"]["shared"]["contributions"] == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_told(tools, tmp_path, number):
    process = tools.Process(tmp_path)
    code, errors = process.end(lambda: os.kill(process.child.pid, number))
    assert code == 0
    others = [line for line in errors.splitlines() if "every account of this machine is an administrator" not in line]
    assert all(" INFO " in line for line in others)


@pytest.mark.parametrize("address", ["devices", "admin"])
def test_both_addresses_report_their_health(process, address):
    service = {"devices": "fedau2.v1.DeviceService", "admin": "fedau2.v1.AdminService"}[address]
    with grpc.insecure_channel(getattr(process, address)) as channel:
        for name in ("", service):
            response = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
            assert response.status == health_pb2.HealthCheckResponse.SERVING


def test_devices_cannot_reach_what_is_for_operators(tools, process):
    async def swapped():
        async with tools.connect(process.admin, process.devices) as lab:
            for call in (lab.check_in, lambda: lab.task("any")):
                with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
                    await call()

    asyncio.run(swapped())


def test_a_disk_that_is_full_ends_it_with_an_error(tools, tmp_path):
    async def fill(process):
        async with (
            tools.connect(process.devices, process.admin) as lab,
            grpc.aio.insecure_channel(process.devices) as channel,
        ):
            health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
            await lab.create(tools.make_bundle(closing=tools.closing(20_000)))
            limit = (1 << 19, resource.RLIM_INFINITY)  # no file of the child may grow beyond 512 KiB
            resource.prlimit(process.child.pid, resource.RLIMIT_FSIZE, limit)
            for _ in range(100):
                results = await asyncio.gather(*(lab.assignment() for _ in range(200)), return_exceptions=True)
                if refused := [result for result in results if isinstance(result, Exception)]:
                    assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
                    health.cancel()
                    return refused
        raise AssertionError("the disk was never full")

    process = tools.Process(tmp_path / "state")
    try:
        refused = asyncio.run(fill(process))
    except BaseException:
        process.child.kill()
        raise
    finally:
        code, errors = process.end(lambda: None)
    # gRPC cancels what arrives while the servers stop; a device takes both for an answer that never came.
    assert {error.status for error in refused} <= {Status.UNAVAILABLE, Status.CANCELLED}
    assert any("could not write" in str(error) for error in refused)
    assert code == 1
    assert "writing failed" in errors


def test_a_second_coordinator_on_the_same_folder_or_port_is_refused(tools, tmp_path, process, capfd):
    folder = process.child.args[process.child.args.index("--state") + 1]
    arguments = ["serve", "--state", folder, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    assert main(arguments) == 1
    assert "used by another coordinator" in capfd.readouterr().err
    arguments[2:5] = [str(tmp_path / "other"), "--listen", process.devices]
    assert main(arguments) == 1
    assert f"cannot serve on {process.devices}" in capfd.readouterr().err


def test_a_coordinator_that_is_not_there_is_said_so(tools, tmp_path, capsys):
    tools.make_bundle().write(tmp_path / "bundle")
    nobody = tools.Process(tmp_path / "state")
    nobody.end(nobody.child.terminate)
    assert main(["status", "--admin", nobody.admin]) == 1
    assert f"no coordinator answers on {nobody.admin}" in capsys.readouterr().err
    assert create(nobody, tmp_path / "bundle") == 1
    assert "no coordinator answers" in capsys.readouterr().err


class Refusing(AdminServiceServicer):
    """Refuses every list of tasks as a coordinator refuses what is too much."""

    def ListTasks(self, request, context):  # noqa: N802
        context.abort(grpc.StatusCode.UNAVAILABLE, "too many fetches are under way; try again later")


def test_a_refusal_is_not_taken_for_a_coordinator_that_is_not_there(capsys):
    server = grpc.server(ThreadPoolExecutor(1))
    add_AdminServiceServicer_to_server(Refusing(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert main(["status", "--admin", f"127.0.0.1:{port}"]) == 1
    server.stop(None)
    assert capsys.readouterr().err == "error: too many fetches are under way; try again later\n"


class Failed(grpc.RpcError):
    def __init__(self, details):
        self._details = details

    def code(self):
        return grpc.StatusCode.UNAVAILABLE

    def details(self):
        return self._details


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ("failed to connect to all addresses; last error: Socket closed", "no coordinator answers on here:1"),
        ("errors resolving here:1: Domain name not found", "no coordinator answers on here:1"),
        ("Socket closed", "the connection to the coordinator on here:1 broke off"),
        ("the coordinator is shutting down; try again later", "the coordinator is shutting down; try again later"),
    ],
)
def test_what_grpc_says_is_explained(details, text):
    assert explained(Failed(details), "here:1").startswith(text)


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_commands_ask_no_proxy_for_this_machine(process, monkeypatch, variable):
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert main(["status", "--admin", process.admin]) == 0


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "unix:", "http://127.0.0.1:1"])
def test_an_address_that_cannot_be_called_is_said_so(capsys, address):
    assert main(["status", "--admin", address]) == 1
    assert f"error: '{address}' " in capsys.readouterr().err


def test_a_bundle_is_checked_before_it_is_sent(tools, tmp_path, process, capsys):
    assert create(process, tmp_path) == 1
    assert "holds no manifest.binpb" in capsys.readouterr().err
    bundle = tools.make_bundle()
    bundle.write(tmp_path / "bundle")
    blob = tmp_path / "bundle" / "blobs" / bundle.manifest.checkpoint.sha256.hex()
    content = blob.read_bytes()
    blob.write_bytes(content[:-1])
    assert create(process, tmp_path / "bundle") == 1
    assert f"bytes instead of {len(content)}" in capsys.readouterr().err
    blob.unlink()
    assert create(process, tmp_path / "bundle") == 1
    assert "is missing" in capsys.readouterr().err
    bundle.manifest.format = manifest.FORMAT + 1
    (tmp_path / "bundle" / "manifest.binpb").write_bytes(bundle.manifest.SerializeToString())
    assert create(process, tmp_path / "bundle") == 1
    assert "bundle format 3 is newer than format 2" in capsys.readouterr().err


def test_what_the_coordinator_refuses_is_said(tools, tmp_path, process, capsys):
    tools.make_bundle().write(tmp_path / "bundle")
    assert create(process, tmp_path / "bundle", "--minimum", "3") == 1
    assert "minimum <= goal" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["create-task", "--bundle", "x"], ["serve", "--state", "x", "--listen"], ["unknown"]],
)
def test_wrong_arguments_are_explained(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: fedau2-coordinator" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "x", str(2**32)])
def test_counts_are_checked(count, capsys):
    with pytest.raises(SystemExit):
        main(["create-task", "--bundle", "x", "--population", "y", "--rounds", count, "--goal", "1"])
    assert "number from 1 on" in capsys.readouterr().err


def test_half_a_pair_of_tls_files_is_refused(tmp_path, capsys):
    assert main(["serve", "--state", str(tmp_path), "--tls-key", "key.pem"]) == 1
    assert "go together" in capsys.readouterr().err


def test_devices_can_be_served_over_tls(tools, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    for path, content in zip((key, certificate), certificates.make(), strict=True):
        path.write_bytes(content)

    async def call(address):
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        async with grpc.aio.secure_channel(address, credentials) as channel:
            return await DeviceServiceStub(channel).CheckIn(CheckInRequest(population="movies"))

    process = tools.Process(tmp_path / "state", "--tls-certificate", str(certificate), "--tls-key", str(key))
    try:
        assert asyncio.run(call(process.devices)).rejection.reason == REJECTION_REASON_NO_TASK
    finally:
        process.end(process.child.terminate)


def test_what_nobody_expected_is_an_internal_error_and_changes_nothing(tools, tmp_path, caplog):
    async def run():
        async with tools.open_lab(tmp_path, "grpc") as lab:
            task_id = await lab.create()
            assignment = await lab.assignment()
            manifest_blob = tmp_path / "blobs" / assignment.manifest.sha256.hex()
            content = manifest_blob.read_bytes()
            manifest_blob.unlink()
            with pytest.raises(StatusError, match="internal error") as failed:
                await lab.check_in()
            assert failed.value.status == Status.INTERNAL
            manifest_blob.write_bytes(content)
            await lab.upload(assignment, tools.make_contribution(0))
            await lab.contribute([1, 2])
            return await lab.committed(task_id, 1)

    assert asyncio.run(run()).checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])
    assert "FileNotFoundError" in caplog.text
