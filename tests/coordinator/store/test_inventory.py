"""The inventory of a backup says what is in it, and every changed byte of it is found."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import BackupError
from coordinator.store.inventory import NAME, Inventory
from fedau2.wire import blobs

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
SEGMENTS = st.builds("log/{}-{}.0".format, st.binary(min_size=8, max_size=8).map(bytes.hex), st.integers(0, 10**9))
NAMES = st.one_of(
    st.sampled_from(["id", "operations.log", "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-pages"]),
    DIGESTS.map("blobs/{}".format),
    DIGESTS.map("server-state/{}".format),
    SEGMENTS,
)
FOREIGN = [
    "",
    "../id",
    "/etc/passwd",
    "blobs/..",
    "blobs/../id",
    "log/a-1.0/x",
    "id\n",
    "witness",
    "lock",
    "log/a-\u0661.0",
]


@given(st.floats(0, 1e10), st.integers(0, 2**62), st.dictionaries(NAMES, DIGESTS))
def test_what_was_written_is_read(tmp_path_factory, made, commits, files):
    folder = tmp_path_factory.mktemp("backup")
    inventory = Inventory(made, commits, files)
    inventory.write(folder)
    assert Inventory.read(folder) == inventory


def test_every_changed_byte_is_found(tmp_path):
    digest = blobs.sha256(b"").hex()
    Inventory(1.5, 7, {f"blobs/{digest}": digest, "id": digest}).write(tmp_path)
    path = tmp_path / NAME
    data = path.read_bytes()
    for at in range(len(data)):
        for damaged in (bytes([data[at] ^ 0x20]), b""):
            path.write_bytes(data[:at] + damaged + data[at + 1 :])
            with pytest.raises(BackupError):
                Inventory.read(tmp_path)
    path.write_bytes(data + b"\n")
    with pytest.raises(BackupError):
        Inventory.read(tmp_path)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_is_written_under_no_other_name(tmp_path, name):
    with pytest.raises(BackupError, match="no backup has a file"):
        Inventory(0, 0, {name: "00"}).write(tmp_path)
    assert list(tmp_path.iterdir()) == []
    line = json.dumps({"format": 1, "made": 0, "commits": 0, "files": {name: "00"}}).encode() + b"\n"
    (tmp_path / NAME).write_bytes(line + blobs.sha256(line).hex().encode() + b"\n")
    with pytest.raises(BackupError, match="no backup has a file"):
        Inventory.read(tmp_path)
