"""An operator makes certificates, serves with them, calls with them, and reads the log of the calls."""

import json
import shutil

import pytest

from coordinator.cli import main
from coordinator.commands import certificates
from coordinator.grpc import operators
from coordinator.grpc.operators import Role
from coordinator.store.state_folder import StateFolder


@pytest.fixture
def pki(tmp_path, capsys):
    people = ["--operator", "anna=admin", "--operator", "vera=viewer"]
    assert main(["certificates", "--out", str(tmp_path / "pki"), "--host", "localhost", *people]) == 0
    assert "--credentials" in capsys.readouterr().out
    return tmp_path / "pki"


@pytest.fixture
def process(tools, tmp_path, pki):
    own, roles = pki / "coordinator", pki / "roles.toml"
    tls = ["--admin-tls-certificate", str(own / "certificate.pem"), "--admin-tls-key", str(own / "key.pem")]
    tls += ["--admin-tls-client-ca", str(pki / "authority.pem"), "--admin-roles", str(roles)]
    process = tools.Process(tmp_path / "state", *tls)
    yield process
    if process.child.poll() is None:
        process.end(process.child.terminate)


def run(process, pki, person, *arguments):
    address = f"localhost:{process.admin.rpartition(':')[2]}"
    return main([*arguments, "--admin", address, "--credentials", str(pki / "operators" / person)])


def test_roles_hold_for_commands_and_the_log_names_who_made_them(tools, process, pki, tmp_path, capsys):
    tools.make_bundle().write(tmp_path / "bundle")
    create = [
        "create-task",
        "--bundle",
        str(tmp_path / "bundle"),
        "--population",
        "movies",
        "--rounds",
        "2",
        "--goal",
        "1",
    ]
    assert run(process, pki, "vera", *create) == 1
    assert "vera is viewer, and CreateTask needs the role admin" in capsys.readouterr().err
    assert run(process, pki, "anna", *create) == 0
    task = capsys.readouterr().out.strip()
    assert run(process, pki, "vera", "status", "--json") == 0
    assert task in capsys.readouterr().out
    assert run(process, pki, "vera", "pause", task) == 1
    capsys.readouterr()
    state = ["--state", str(tmp_path / "state")]
    assert main(["audit-log", *state, "--json"]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(entry["operator"], entry["call"], entry["event"], entry.get("result")) for entry in entries] == [
        ("vera", "CreateTask", "refused", "PERMISSION_DENIED"),
        ("anna", "CreateTask", "begins", None),
        ("anna", "CreateTask", "ends", "OK"),
        ("vera", "PauseTask", "refused", "PERMISSION_DENIED"),
    ]
    assert main(["audit-log", *state]) == 0
    head = capsys.readouterr().out.split()[-1]
    assert main(["audit-log", *state, "--head", head]) == 0
    assert main(["audit-log", *state, "--head", "ab" * 32]) == 1
    assert "lines have been cut off, or written anew" in capsys.readouterr().err


def test_a_log_that_was_changed_is_found_by_its_command_and_by_the_doctor(process, pki, tmp_path, capsys):
    assert run(process, pki, "vera", "stop", "x", "--yes") == 1
    assert run(process, pki, "anna", "stop", "x", "--yes") == 1
    process.end(process.child.terminate)
    path = StateFolder(tmp_path / "state").operations
    path.write_bytes(path.read_bytes().replace(b'"vera"', b'"anna"', 1))
    capsys.readouterr()
    for command in ("audit-log", "doctor"):
        assert main([command, "--state", str(tmp_path / "state")]) == 1
        printed = capsys.readouterr()
        assert "line 2 does not follow the line before it" in printed.out + printed.err
    assert main(["audit-log", "--state", str(tmp_path / "nowhere")]) == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("certificate.pem", None, "cannot be read"),
        ("key.pem", "x", "holds no private key"),
        ("authority.pem", "x", "no certificate in PEM"),
    ],
)
def test_credentials_that_cannot_be_used_are_named(pki, capsys, name, text, message):
    path = pki / "operators" / "anna" / name
    path.unlink() if text is None else path.write_text(text)
    assert main(["status", "--admin", "localhost:1", "--credentials", str(path.parent)]) == 1
    error = capsys.readouterr().err
    assert "the credentials cannot be used" in error
    assert message in error


def test_a_renewed_operator_has_the_new_role_alone(pki, capsys):
    shutil.rmtree(pki / "operators" / "vera")
    assert main(["certificates", "--out", str(pki), "--operator", "vera=operator"]) == 0
    assert operators.read(pki / "roles.toml") == {"anna": Role.ADMIN, "vera": Role.OPERATOR}


def test_operators_are_added_to_an_authority_later(pki, capsys):
    before = (pki / "authority.pem").read_bytes()
    assert main(["certificates", "--out", str(pki), "--operator", "otto=operator"]) == 0
    assert (pki / "authority.pem").read_bytes() == before
    assert (pki / "roles.toml").read_text().splitlines()[-1] == 'otto = "operator"'
    assert (pki / "operators" / "otto" / "key.pem").stat().st_mode & 0o077 == 0
    assert main(["certificates", "--out", str(pki), "--operator", "otto=admin"]) == 1
    assert "exists: remove it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name at least one"),
        (["--host", "x"], "the authority in"),
        (["--host", "f\u00e9d\u00e9"], "is not a host"),
        (["--operator", "a=admin", "--operator", "a=viewer"], "an operator is named twice"),
    ],
)
def test_what_certificates_cannot_be_made_of(tmp_path, capsys, arguments, message):
    (tmp_path / "key.pem").write_text("x")
    assert main(["certificates", "--out", str(tmp_path), *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["local=admin", "anna", "anna=queen", "=admin", "an na=admin", "anna=", '"=admin'])
def test_a_name_and_a_role_are_needed(tmp_path, capsys, text):
    with pytest.raises(SystemExit):
        main(["certificates", "--out", str(tmp_path), "--operator", text])
    assert "is not NAME=ROLE" in capsys.readouterr().err


def test_without_the_package_the_extra_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(certificates, "find_spec", lambda name: None)
    assert main(["certificates", "--out", str(tmp_path), "--host", "x"]) == 1
    assert "pip install 'fedau2[signed]'" in capsys.readouterr().err
