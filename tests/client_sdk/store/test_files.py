"""Files are written whole or not at all."""

import os
import resource
import stat

import pytest

from client_sdk.store import files


def test_a_file_takes_the_place_of_the_one_before_and_is_its_owners(tmp_path):
    path, left = tmp_path / "pace.json", tmp_path / "pace.part"
    path.write_bytes(b"older")
    left.write_bytes(b"left by a crash, and longer")
    for each in (path, left):
        each.chmod(0o666)
    before = os.umask(0)
    try:
        files.write(path, b"newer")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"newer"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_where_the_disk_is_full_the_one_before_stays(tmp_path):
    path = tmp_path / "pace.json"
    files.write(path, b"older")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            files.write(path, b"newer")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]
