"""Too many open files: the disk waits, because connections end, and an error would end the coordinator."""

import errno
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.store import disk


def failing(*numbers):
    """Fails with these errors, then succeeds."""
    left = list(numbers)

    def opening():
        if left:
            raise OSError(left.pop(0), "injected")
        return "open"

    return opening


@given(st.lists(st.sampled_from(disk.TOO_MANY_FILES), max_size=20))
def test_it_waits_as_long_as_too_many_files_are_open(numbers):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "_PAUSE", 0)
        assert disk.patiently(failing(*numbers)) == "open"


@pytest.mark.parametrize("number", sorted({errno.ENOSPC, errno.EIO, errno.ENOENT, errno.EACCES, errno.EROFS}))
def test_every_other_error_is_raised_at_once(number):
    with pytest.raises(OSError, match="injected") as raised:
        disk.patiently(failing(number))
    assert raised.value.errno == number


def test_it_says_so_once(monkeypatch, caplog):
    monkeypatch.setattr(disk, "_PAUSE", 0)
    with caplog.at_level(logging.WARNING):
        disk.patiently(failing(*[errno.EMFILE] * 5))
    assert [record.message.partition(";")[0] for record in caplog.records] == ["too many open files"]
