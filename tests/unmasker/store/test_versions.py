"""Books of an older version get the tables that they lack, and keep what they have."""

from contextlib import closing

import pytest
import sqlalchemy as sa

from tests.unmasker.conftest import RULES
from tests.unmasker.scene import Scene
from unmasker import Books, Unmasker
from unmasker.store.tables import budget, meta, opened_sum, participation, spending

NEW = {1: (spending, budget, participation, opened_sum)}
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
