"""Books of an older version get the tables that they lack, and keep what they have."""

from contextlib import closing, nullcontext

import pytest
import sqlalchemy as sa

from tests.secure_tasks import noisy
from tests.unmasker.conftest import RULES
from tests.unmasker.scene import Scene
from unmasker import Books, Unmasker
from unmasker.errors import ForgottenError
from unmasker.store.tables import budget, later_epoch, meta, opened_sum, participation, spending

NEW = {1: (spending, budget, participation, opened_sum, later_epoch), 2: (later_epoch,)}
"""Tables that each version lacks."""


@pytest.mark.parametrize("version", NEW)
def test_an_older_version_is_upgraded_and_opens_its_rounds(either, folder, clock, database_url, version):
    scene = Scene(either)
    with either.books._database.writing() as connection:
        for table in NEW[version]:
            table.drop(connection)
        connection.execute(sa.update(meta).values(version=version))
    for _ in range(2):
        with closing(Unmasker(Books(folder, database_url, clock), RULES)) as scene.unmasker:
            assert scene.unmasker.open_round(scene.task.opening(3)).key == scene.key
            assert scene.ask()[0].opened.set


@pytest.mark.parametrize("restored", [False, True])
def test_an_upgrade_knows_whether_the_unmasker_was_restored_before(either, folder, clock, database_url, restored):
    if restored:
        with either.books.writing() as page:
            either.books.begin_epoch(page)
    with either.books._database.writing() as connection:
        later_epoch.drop(connection)
        connection.execute(sa.update(meta).values(version=2))
    outcome = pytest.raises(ForgottenError) if restored else nullcontext()
    with closing(Unmasker(Books(folder, database_url, clock), RULES)) as unmasker, outcome:
        Scene(unmasker, number=3, sums=noisy())


def test_books_of_an_older_version_that_were_restored_begin_an_epoch(either, folder, clock, database_url):
    scene = Scene(either)
    with either.books._database.writing() as connection:
        later_epoch.drop(connection)
        connection.execute(sa.update(meta).values(version=2))
    folder.epoch.unlink()
    with closing(Unmasker(Books(folder, database_url, clock), RULES)) as unmasker:
        assert unmasker.open_round(scene.task.opening(3)).key != scene.key
