"""Files that many read at the same time."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.store.shared_files import SharedFiles


def opened():
    return len(list(Path("/proc/self/fd").iterdir()))


@given(st.lists(st.integers(0, 2), max_size=20), st.randoms(use_true_random=False))
def test_a_file_is_open_once_while_anybody_reads_it(tmp_path_factory, readers, chance):
    folder = tmp_path_factory.mktemp("files")
    for number in range(3):
        (folder / str(number)).write_bytes(bytes([number]))
    files, before, stacks = SharedFiles(), opened(), []
    for number in readers:
        stacks.append((number, ExitStack()))
        descriptor = stacks[-1][1].enter_context(files.reading(folder / str(number)))
        assert os.pread(descriptor, 9, 0) == bytes([number])
        assert opened() == before + len({number for number, _ in stacks})
    chance.shuffle(stacks)
    while stacks:
        stacks.pop()[1].close()
        assert opened() == before + len({number for number, _ in stacks})


def test_who_reads_goes_on_though_another_file_takes_its_place(tmp_path):
    files, path = SharedFiles(), tmp_path / "file"
    path.write_bytes(b"old")
    before = opened()
    with files.reading(path) as old:
        path.unlink()
        path.write_bytes(b"new")
        with files.reading(path) as same:
            assert os.pread(same, 9, 0) == b"old"
        files.forget(path)
        with files.reading(path) as new:
            assert os.pread(new, 9, 0) == b"new"
        assert os.pread(old, 9, 0) == b"old"
    assert opened() == before


def test_a_file_that_is_not_there_leaves_nothing_behind(tmp_path):
    files = SharedFiles()
    with pytest.raises(FileNotFoundError), files.reading(tmp_path / "file"):
        pass
    (tmp_path / "file").write_bytes(b"x")
    with files.reading(tmp_path / "file") as descriptor:
        assert os.pread(descriptor, 9, 0) == b"x"
