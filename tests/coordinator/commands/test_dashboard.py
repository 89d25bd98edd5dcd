"""`fedau2-coordinator dashboard`: it serves beside a coordinator with an operator's credentials, or says why not."""

import asyncio
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from urllib.request import urlopen

import pytest

pytest.importorskip("jinja2", reason="the extra web is not installed")

from coordinator.cli import main


@pytest.fixture
def pki(tmp_path):
    people = ["--operator", "otto=operator", "--operator", "vera=viewer"]
    assert main(["certificates", "--out", str(tmp_path / "pki"), "--host", "localhost", *people]) == 0
    return tmp_path / "pki"


def tls(pki, prefix=""):
    folder = pki / "coordinator"
    return [
        f"--{prefix}tls-certificate={folder / 'certificate.pem'}",
        f"--{prefix}tls-key={folder / 'key.pem'}",
        f"--{prefix}tls-client-ca={pki / 'authority.pem'}",
    ]


@contextmanager
def running(*options):
    """The command as a child; yields its address and a function that returns what it wrote once it has ended."""
    command = [sys.executable, "-m", "coordinator", "dashboard", "--listen=127.0.0.1:0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            line = child.stdout.readline()
            shown = re.fullmatch(r"serving the dashboard on (http.*)/\n", line)
            assert shown, line or child.stderr.read()
            yield child, shown[1]
        finally:
            child.kill()


def test_it_shows_what_its_credentials_may_see_and_ends_by_a_signal_while_a_page_is_open(tools, tmp_path, pki, capsys):
    served = tools.Process(tmp_path / "state", *tls(pki, "admin-"), f"--admin-roles={pki / 'roles.toml'}")
    try:
        address = f"localhost:{served.admin.rpartition(':')[2]}"
        with running(f"--admin={address}", f"--credentials={pki / 'operators' / 'vera'}") as (child, page):
            assert "There is no task yet." in urlopen(page, timeout=30).read().decode()
            with urlopen(f"{page}/live", timeout=30) as events:
                assert events.readline().startswith(b"data: ")
                child.send_signal(signal.SIGTERM)
                assert child.wait(timeout=30) == 0
            assert child.stderr.read() == ""
    finally:
        served.end(served.child.terminate)


def test_off_loopback_it_needs_certificates_and_roles_of_its_visitors(pki, capsys):
    complete = [*tls(pki), f"--roles={pki / 'roles.toml'}"]
    for flags in ([], *([flag for flag in complete if flag != missing] for missing in complete)):
        assert main(["dashboard", "--listen", "0.0.0.0:0", *flags]) == 1
        assert "must show a certificate and have a role" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--listen", "unix:/tmp/x"], "--listen: "),
        (["--listen", "8646"], "--listen: "),
        (["--roles", "roles.toml"], "must show a certificate and have a role"),
        (["--metrics", "192.0.2.1:9090"], "on loopback only; use a tunnel"),
        (["--metrics", "9090"], "--metrics: "),
        (["--admin", "http://127.0.0.1:1"], "is not an address"),
        (["--credentials", "/nowhere"], "the credentials cannot be used"),
        (["--listen", "192.0.2.1:1"], "must show a certificate"),
    ],
)
def test_flags_that_cannot_be_used_are_named(capsys, flags, message):
    assert main(["dashboard", *flags]) == 1
    assert message in capsys.readouterr().err


def test_files_are_checked_before_anything_is_served(pki, capsys):
    (pki / "coordinator" / "key.pem").write_text("x")
    assert main(["dashboard", *tls(pki), f"--roles={pki / 'roles.toml'}"]) == 1
    assert "holds no private key" in capsys.readouterr().err
    (pki / "roles.toml").write_text('vera = "queen"')
    assert main(["dashboard", *tls(pki), f"--roles={pki / 'roles.toml'}"]) == 1
    assert "vera has the role 'queen'" in capsys.readouterr().err


def test_on_loopback_everybody_looks_and_buttons_must_be_asked_for(tools, tmp_path):
    served = tools.Process(tmp_path / "state")

    async def create():
        async with tools.connect(served.devices, served.admin) as lab:
            return await lab.create()

    try:
        task_id = asyncio.run(create())
        for options, buttons in (((), False), (("--buttons",), True)):
            with running(f"--admin={served.admin}", *options) as (_, page):
                text = urlopen(f"{page}/tasks/{task_id}", timeout=30).read().decode()
                assert ("<button" in text) == buttons
    finally:
        served.end(served.child.terminate)


def test_an_address_in_use_is_named(tools, tmp_path, capsys):
    with running() as (_, page):
        assert main(["dashboard", "--listen", page.removeprefix("http://")]) == 1
        assert "address already in use" in capsys.readouterr().err.lower()
