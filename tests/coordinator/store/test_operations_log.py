"""The log of the operators' calls shows every change to it, and survives a crash and a full disk."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.errors import OperationsError
from coordinator.store.disk import REAL, Disk
from coordinator.store.operations_log import START, OperationsLog, read

ENTRIES = [{"operator": "anna", "call": "PauseTask", "number": number} for number in range(5)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "operations.log"


def write(path, entries=ENTRIES):
    log = OperationsLog.open(path, REAL)
    for entry in entries:
        log.append(entry)
    log.close()


def entries(path):
    return [entry for entry, _ in read(path)]


def test_what_was_appended_is_read_over_several_starts(path):
    write(path, [])
    assert entries(path) == []
    write(path, ENTRIES[:2])
    write(path, ENTRIES[2:])
    assert entries(path) == ENTRIES
    heads = [START, *(head for _, head in read(path))]
    assert len(set(heads)) == len(ENTRIES) + 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_changed_byte_is_found(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("log") / "operations.log"
    write(path)
    whole = path.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1  # the hash of the last line is in no line: `--head` finds changes of it
    position = data.draw(st.integers(0, last - 1))
    changed = bytearray(whole)
    changed[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    with pytest.raises(OperationsError, match=r"line \d does not follow the line before it"):
        entries(path)
    with pytest.raises(OperationsError):
        OperationsLog.open(path, REAL)


@pytest.mark.parametrize(
    "change", [lambda lines: lines[1:], lambda lines: [*lines[:2], *lines[3:]], lambda lines: lines[::-1]]
)
def test_lines_that_are_missing_or_moved_are_found(path, change):
    write(path)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(OperationsError):
        entries(path)


def test_a_line_that_a_crash_left_unfinished_is_cut_off(path):
    write(path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"operator":"an')
    assert entries(path) == ENTRIES
    write(path, [{"call": "StopTask"}])
    assert entries(path) == [*ENTRIES, {"call": "StopTask"}]
    assert path.read_bytes().startswith(whole)


def test_on_a_full_disk_the_entry_is_not_there_and_the_next_one_is(path):
    class Full(Disk):
        left = 2  # the file itself, and one entry

        def write(self, file, data):
            if not self.left:
                file.write(data[:7])
                raise OSError(errno.ENOSPC, "No space left on device")
            self.left -= 1
            super().write(file, data)

    disk = Full()
    log = OperationsLog.open(path, disk)
    log.append(ENTRIES[0])
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            log.append(ENTRIES[1])
    disk.left = 2
    log.append(ENTRIES[2])
    log.append(ENTRIES[3])
    log.close()
    assert entries(path) == [ENTRIES[0], *ENTRIES[2:4]]
