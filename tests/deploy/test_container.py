"""The entry point and the settings of the images, run as processes on a read-only root without capabilities."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import grpc
import pytest

from coordinator.cli import main as coordinator
from tests.certificates import make
from tests.coordinator import conftest as tools
from tests.deploy.containers import PLACES, healthy, possible, running
from tests.deploy.files import DEPLOY, parsed, read

needs_root = pytest.mark.skipif(not possible(), reason="this user may not make a read-only root")
ENTRY = DEPLOY / "container" / "entrypoint.sh"


def address(child, start):
    """The address in the line of a server that begins like this."""
    for line in child.stdout:
        if line.startswith(start):
            return line.split()[-1]
    raise AssertionError(child.stderr.read())


def end(child):
    """Ends a server, and returns the lines of its log."""
    child.send_signal(signal.SIGTERM)
    _, log = child.communicate(timeout=60)
    assert child.returncode == 0, log
    return log.splitlines()


@pytest.fixture
def settings(tmp_path):
    """What lies in `/etc/fedau2` of the coordinator's container."""
    assert coordinator(["certificates", "--out", str(tmp_path / "pki"), "--host", "localhost"]) == 0
    folder = tmp_path / "settings"
    folder.mkdir()
    (folder / "coordinator.toml").write_text(read("coordinator/coordinator.toml"))
    (tmp_path / "pki" / "coordinator").rename(folder / "tls")
    return folder


WRITES = "! touch /etc/no; ! touch /usr/no; ! touch /run/no; touch /run/fedau2/yes"


@needs_root
def test_a_coordinator_commits_a_round_on_a_read_only_root(tmp_path, settings):
    (words,) = re.findall(r"^CMD (\[.*\])$", read("container/Containerfile"), re.M)
    line = f"{WRITES}; exec $ENTRY {' '.join(json.loads(words))} --listen localhost:0"
    with running(tmp_path, "coordinator", line, settings) as child:
        devices, admin = address(child, "serving devices on "), address(child, "serving admin on ")
        assert admin == "unix:/run/fedau2/admin.sock"
        inside = f"/proc/{child.pid}/root"
        assert healthy(f"unix:{inside}/run/fedau2-metrics/metrics.sock") == (0, "")
        authority = (settings / "tls" / "authority.pem").read_bytes()
        task = asyncio.run(train(devices, f"unix:{inside}/run/fedau2/admin.sock", authority))
        assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])
        expect_no_capabilities(child)
        assert (Path(inside) / "var/lib/fedau2/state/blobs" / task.checkpoint.sha256.hex()).is_file()
        log = end(child)
    refusals = [line for line in log if "Read-only file system" in line]
    assert len(refusals) == 3
    assert {json.loads(line)["level"] for line in log if line not in refusals} == {"INFO"}


async def train(devices, admin, authority):
    """Commits a round of three contributions over TLS."""
    trust = grpc.ssl_channel_credentials(authority)
    async with grpc.aio.secure_channel(devices, trust) as one, grpc.aio.insecure_channel(admin) as other:
        lab = tools.Lab(tools.OverGrpc(one, other))
        task_id = await lab.create()
        await lab.contribute([0, 1, 2])
        return await lab.committed(task_id, 1)


def expect_no_capabilities(child):
    status = Path(f"/proc/{child.pid}/status").read_text()
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert re.search(rf"^{name}:\t0+$", status, re.M), status


@needs_root
def test_an_unmasker_serves_on_a_read_only_root(tmp_path):
    authority = make(signs=True)
    key, certificate = make()
    folder = tmp_path / "settings"
    folder.mkdir()
    for name, data in (("key", key), ("certificate", certificate), ("coordinators", authority[1])):
        (folder / f"{name}.pem").write_bytes(data)
    words = parsed("unmasker/compose.yaml")["services"]["unmasker"]["command"]
    words = " ".join(re.sub(r"0\.0\.0\.0:\d+", "127.0.0.1:0", word) for word in words)
    line = f"{WRITES}; $ENTRY init --state /var/lib/fedau2/state; exec $ENTRY {words}"
    with running(tmp_path, "unmasker", line, folder) as child:
        assert healthy(f"tls:{address(child, 'serving devices on ')}") == (0, "")
        expect_no_capabilities(child)
        log = end(child)
    assert sum("Read-only file system" in line for line in log) == 3


def test_health_is_refused_without_a_server_and_while_it_starts(tmp_path):
    code, reason = healthy(f"unix:{tmp_path}/none.sock")
    assert (code, "is not healthy" in reason) == (1, True)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert healthy(f"tls:127.0.0.1:{closed.getsockname()[1]}")[0] == 1
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "starting.sock"))
        server.listen()
        thread = threading.Thread(
            target=answer, args=(server, b"HTTP/1.1 503 no\r\ncontent-length: 9\r\n\r\nstarting\n")
        )
        thread.start()
        code, reason = healthy(f"unix:{tmp_path}/starting.sock")
        thread.join()
    assert (code, "503 starting" in reason) == (1, True)


def answer(server, response):
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(response)


@pytest.mark.parametrize("program", ["coordinator", "unmasker"])
def test_the_url_of_the_database_comes_from_a_file(tmp_path, program):
    (tmp_path / f"fedau2-{program}").write_text('#!/bin/sh\nenv; umask; echo "$@"\n')
    (tmp_path / f"fedau2-{program}").chmod(0o755)
    (tmp_path / "url").write_text("postgresql://fedau2:a b$c'd@database/ledger\n")
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "FEDAU2_DATABASE_FILE": str(tmp_path / "url")}
    words = [ENTRY, f"fedau2-{program}", "serve", "with a space"]
    lines = subprocess.run(words, env=variables, capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"FEDAU2_{program.upper()}_DATABASE=postgresql://fedau2:a b$c'd@database/ledger" in lines
    assert not any(line.startswith("FEDAU2_DATABASE_FILE") for line in lines)
    assert lines[-2:] == ["0077", "serve with a space"]
    missing = subprocess.run(words, env={**variables, "FEDAU2_DATABASE_FILE": "/none"}, capture_output=True)
    assert missing.returncode != 0


def test_the_places_of_the_images_are_those_that_the_programs_write_to():
    made = re.search(r"install --directory .* --mode=700 (.*)$", read("container/Containerfile"), re.M)[1]
    assert {*made.split()} == {*PLACES.split()}


def test_each_file_that_an_image_copies_is_there_and_not_ignored():
    ignored = read("container/Containerfile.dockerignore").splitlines()
    for sources in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.*) \S+$", read("container/Containerfile"), re.M):
        for source in sources.split():
            assert (DEPLOY.parent / source).exists(), source
            assert any(f"!{part}" in ignored for part in (source, source.rpartition("/")[0])), source
