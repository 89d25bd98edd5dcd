"""A restored unmasker does not let caps of participations begin anew."""

import shutil
from contextlib import closing

import pytest
from sqlalchemy import select

from tests.secure_tasks import noisy, policy
from tests.unmasker.conftest import RULES
from tests.unmasker.engine.test_restoring import epochs, reopened
from tests.unmasker.scene import Scene
from unmasker import Books, Unmasker
from unmasker.errors import ForgottenError
from unmasker.store import public_log
from unmasker.store.tables import meta
from unmasker.store.witness import Witness

CAPS = {"a cap": lambda: policy(max_participations=2), "noise": noisy}


def begin_epoch(unmasker):
    with unmasker.books.writing() as page:
        unmasker.books.begin_epoch(page)


@pytest.mark.parametrize("cap", CAPS)
def test_a_task_of_before_gets_no_round_and_a_new_one_gets_all_of_its_own(unmasker, cap):
    scene = Scene(unmasker, number=0, sums=CAPS[cap]())
    begin_epoch(unmasker)
    for number in (0, 1, 9):
        with pytest.raises(ForgottenError, match="create a new one"):
            scene.open(number)
    fresh = Scene(unmasker, number=0, name=b"fresh", sums=CAPS[cap]())
    fresh.open(1)
    assert fresh.ask()[0].opened.set


@pytest.mark.parametrize("cap", CAPS)
def test_a_task_that_the_copy_may_have_forgotten_gets_no_round(unmasker, cap):
    Scene(unmasker, number=7, name=b"first", sums=CAPS[cap]())  # nothing was forgotten yet
    begin_epoch(unmasker)
    with pytest.raises(ForgottenError):
        Scene(unmasker, number=7, name=b"lost", sums=CAPS[cap]())
    Scene(unmasker, number=7, name=b"without caps")


def test_a_restoration_that_a_coordinator_proves_is_durable_though_its_round_is_refused(folder, clock):
    """Otherwise each try would begin an epoch, and delete the keys of all other tasks."""
    with closing(Unmasker(Books.make(folder, None, clock), RULES)) as made:
        scene = Scene(made, number=0, sums=noisy())
        shutil.copy(folder.path / "unmasker.sqlite", folder.path / "copy")
        seen = made.open_round(scene.task.opening(1)).head
    shutil.copy(folder.path / "copy", folder.path / "unmasker.sqlite")
    with closing(Books(folder, None, clock)) as books, books.reading() as connection:
        head = public_log.head(connection, books.keys)
        Witness(connection.execute(select(meta.c.commits)).scalar_one(), head.size, head.hash).write(folder)
    with reopened(folder, clock) as made:
        other = Scene(made, name=b"other")
        request = scene.task.opening(1)
        request.seen.CopyFrom(seen)
        for _ in range(3):
            with pytest.raises(ForgottenError):
                made.open_round(request)
        assert epochs(made) == 1
        again = made.open_round(other.task.opening(3)).key
        with pytest.raises(ForgottenError):
            made.open_round(request)
        assert made.open_round(other.task.opening(3)).key == again
