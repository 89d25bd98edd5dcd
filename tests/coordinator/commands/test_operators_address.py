"""Unless an operator names another address, only the coordinator's own account is an administrator."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
import pytest

from coordinator.cli import main
from coordinator.commands import operators_address
from coordinator.commands.settings import Settings
from coordinator.errors import SettingError
from fedau2.v1.admin_pb2 import ListTasksRequest
from fedau2.v1.admin_pb2_grpc import AdminServiceStub


@pytest.fixture
def state():
    """A state folder whose path has room for a socket, in a folder that others may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "state"


def serving(state, *options):
    command = [sys.executable, "-m", "coordinator", "serve", "--state", str(state), "--listen", "127.0.0.1:0", *options]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return child, [child.stdout.readline().strip() for _ in range(2)][1].removeprefix("serving admin on ")


def ended(child):
    child.terminate()
    _, errors = child.communicate(timeout=60)
    return errors


def test_the_default_is_a_socket_that_the_own_account_finds_and_no_other_may_call(state, capsys, monkeypatch):
    child, address = serving(state)
    try:
        assert address == f"unix:{state}/admin.sock"
        assert main(["status", "--state", str(state)]) == 0
        monkeypatch.setenv("FEDAU2_COORDINATOR_STATE", str(state))
        assert main(["status", "--json"]) == 0
        second = [sys.executable, "-m", "coordinator", "serve", "--listen", "127.0.0.1:0"]
        refused = subprocess.run(second, capture_output=True, text=True, timeout=60, check=False)
        assert (refused.returncode, "used by another coordinator" in refused.stderr) == (1, True)
        if os.geteuid() == 0:
            state.chmod(0o711)  # what others may do then depends on the socket alone
            may = [
                subprocess.run(["test", "-w", f"{state}/admin.sock"], user=account, check=False).returncode == 0
                for account in ("root", "nobody")
            ]
            assert may == [True, False]
        assert main(["status", "--state", str(state)]) == 0
    finally:
        errors = ended(child)
    assert child.returncode == 0
    assert "administrator" not in errors
    assert main(["status", "--state", str(state)]) == 1
    assert "Name its state folder with --state" in capsys.readouterr().err
    child, _ = serving(state)  # in the place of the socket that was left, if one was
    ended(child)
    assert child.returncode == 0


def test_a_port_of_loopback_lets_every_account_in_and_the_log_says_so(state):
    child, address = serving(state, "--admin", "127.0.0.1:0")
    try:
        with grpc.insecure_channel(address) as channel:
            AdminServiceStub(channel).ListTasks(ListTasksRequest(), timeout=30)
    finally:
        errors = ended(child)
    assert "every account of this machine is an administrator on 127.0.0.1:0" in errors


@pytest.mark.parametrize(
    ("settings", "address", "warned"),
    [
        ({}, "unix:/x/admin.sock", False),
        ({"admin": "unix:/y"}, "unix:/y", False),
        ({"admin": "127.0.0.1:9"}, "127.0.0.1:9", True),
        ({"replica": "127.0.0.1:9"}, "127.0.0.1:8644", True),
        ({"admin_tls_certificate": Path("c"), "admin_tls_key": Path("k")}, "127.0.0.1:8644", True),
        (
            {"admin_tls_certificate": Path("c"), "admin_tls_key": Path("k"), "admin_tls_client_ca": Path("a")},
            "127.0.0.1:8644",
            False,
        ),
    ],
)
def test_who_is_an_administrator_by_the_settings(settings, address, warned):
    made = Settings(state=Path("/x"), **settings)
    assert operators_address.served(made) == address
    assert (operators_address.warning(made) is not None) == warned


@pytest.mark.parametrize(
    ("admin", "state", "environment", "address"),
    [
        (None, None, {}, "127.0.0.1:8644"),
        ("a:1", Path("/x"), {"STATE": "/y", "ADMIN": "b:2"}, "a:1"),
        (None, Path("/x"), {"STATE": "/y", "ADMIN": "b:2"}, "unix:/x/admin.sock"),
        (None, None, {"STATE": "/y", "ADMIN": "b:2"}, "b:2"),
        (None, None, {"STATE": "/y"}, "unix:/y/admin.sock"),
    ],
)
def test_a_command_calls_what_is_named_nearest(admin, state, environment, address):
    variables = {f"FEDAU2_COORDINATOR_{name}": value for name, value in environment.items()}
    assert operators_address.called(argparse.Namespace(admin=admin, state=state), variables) == address


def test_a_state_folder_whose_path_is_too_long_needs_another_address(capsys):
    folder = "/" + "x" * 100
    with pytest.raises(SettingError, match="name --admin"):
        operators_address.expect_room(Settings(state=Path(folder)))
    assert main(["serve", "--state", folder, "--check"]) == 1
    assert "name --admin" in capsys.readouterr().err
    assert main(["serve", "--state", folder, "--admin", "127.0.0.1:0", "--check"]) == 0


def test_a_client_s_folder_gets_no_socket(state, capsys):
    state.mkdir()
    (state / "state.db").touch()
    assert main(["serve", "--state", str(state), "--listen", "127.0.0.1:0"]) == 1
    assert "holds a client's state.db" in capsys.readouterr().err
    assert [path.name for path in state.iterdir()] == ["state.db"]


def test_the_path_of_a_socket_is_whole(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert operators_address.socket(Path("state")) == f"unix:{tmp_path}/state/admin.sock"
