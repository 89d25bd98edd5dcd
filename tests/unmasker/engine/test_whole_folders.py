"""A whole state folder that comes back from a copy, as the guide describes it."""

import os
import shutil
from contextlib import closing

import pytest

from tests.unmasker.conftest import RULES
from tests.unmasker.device import opening
from tests.unmasker.engine.test_rounds import audited
from unmasker import Books, Unmasker
from unmasker.errors import FolderError


def epochs(folder, clock, **fields):
    with closing(Unmasker(Books(folder, None, clock), RULES)) as made:
        made.open_round(opening(3, **fields))
        return sum(entry.HasField("epoch") for entry in audited(made).entries)


@pytest.fixture
def copied(folder, clock, tmp_path):
    """A copy of a folder that has gone on since; and the newest head."""
    with closing(Unmasker(Books.make(folder, None, clock), RULES)) as made:
        made.open_round(opening(1))
    shutil.copytree(folder.path, tmp_path / "copy")
    with closing(Unmasker(Books(folder, None, clock), RULES)) as made:
        return tmp_path / "copy", made.open_round(opening(2)).head


def test_a_folder_that_is_deleted_and_made_anew_from_a_copy_is_noticed(folder, clock, copied):
    kept = folder.path.rename(folder.path.with_name("kept"))  # so that no new file gets an old one's number
    shutil.copytree(copied[0], folder.path)
    assert kept.exists()
    assert epochs(folder, clock) == 1


def test_a_folder_that_is_copied_over_in_place_is_not_noticed_until_a_newer_head_is_shown(folder, clock, copied):
    shutil.copytree(copied[0], folder.path, dirs_exist_ok=True)
    assert epochs(folder, clock) == 0
    assert epochs(folder, clock, seen=copied[1]) == 1


def test_a_folder_without_its_lock_is_refused_until_there_is_an_empty_one(folder, clock, copied):
    folder.lock.unlink()
    with pytest.raises(FolderError, match="touch"):
        epochs(folder, clock)
    folder.lock.touch()
    os.utime(folder.lock, ns=(1, 1))
    assert epochs(folder, clock) == 1
