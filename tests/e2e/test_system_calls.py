"""A device's whole life under strace: what it writes, whom it talks to, and what it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from client_sdk.testing import LocalCoordinator

ITEM, VALUE = "an-unmistakable-item", "an-unmistakable-value"
LIFE = f"""
import sys
from client_sdk import FedClient, Result
with FedClient.open(sys.argv[1], sys.argv[2], sys.argv[3]) as client:
    client.record({ITEM!r})
    client.set_attribute("gender", {VALUE!r})
    assert client.sync().result is Result.UPLOADED
    assert len(client.recommend(k=3)) == 3
"""
CHANGES = re.compile(
    r"(mkdir|rename|unlink|link|symlink|chmod|chown|truncate|mknod|creat|utime|setxattr|rmdir)\w*\("
    r"|open\w*\(.*O_(WRONLY|RDWR|CREAT|TRUNC)"
)


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """The device's folder, the coordinator's address, and the calls that succeeded, a line each."""
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
    with LocalCoordinator(items=[ITEM, "b", "c", "d", "e"], attribute="gender", classes=[VALUE, "other"]) as server:
        child = [sys.executable, "-B", "-c", LIFE, device, server.address, server.population]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
        home = {"HOME": str(elsewhere), "TMPDIR": str(elsewhere)}
        subprocess.run([*strace, *child], check=True, env=environment | home, cwd=elsewhere)
    lines = [line for path in traces.iterdir() for line in path.read_text("utf-8", "replace").splitlines()]
    return device, server.address, [line for line in lines if not re.search(r"= -1 E(?!INPROGRESS)", line)]


def test_nothing_is_written_outside_the_state_folder(calls):
    device, _, lines = calls
    # Relative names too: the child began in another folder.
    written = {Path(name) for line in lines if CHANGES.match(line) for name in re.findall(r'"([^"]*)"', line)}
    assert device / "state.db" in written
    assert {path for path in written if not path.is_relative_to(device)} == set()


def test_nobody_is_talked_to_but_the_coordinator(calls):
    _, address, lines = calls
    host, _, port = address.rpartition(":")
    addressed = [line for line in lines if re.match(r"(connect|send\w+)\(.*sa_family=", line)]
    assert addressed
    for line in addressed:
        assert f"htons({port})" in line, line
        assert re.search(rf'"(::ffff:)?{re.escape(host)}"', line), line


def test_no_item_and_no_attribute_is_said(calls):
    *_, lines = calls
    said = [line for line in lines if line.startswith("send")]
    assert any("UploadContribution" in line for line in said)
    for line in said:
        assert ITEM not in line
        assert VALUE not in line
