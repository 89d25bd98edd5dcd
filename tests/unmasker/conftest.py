from contextlib import closing

import pytest

from tests.coordinator.postgres import database_url, postgres, postgres_url
from tests.unmasker.device import Clock
from unmasker import Books, Rules, StateFolder, Unmasker
from unmasker.evidence.anybody import Anybody
from unmasker.evidence.invitations import Invitations

__all__ = ["database_url", "postgres", "postgres_url"]

RULES = Rules((Anybody(), Invitations()), days=90)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder(tmp_path):
    return StateFolder(tmp_path / "state")


@pytest.fixture
def unmasker(folder, clock):
    """An unmasker on SQLite, that enrols everybody."""
    with closing(Unmasker(Books.make(folder, None, clock), RULES)) as made:
        yield made


@pytest.fixture
def either(folder, clock, database_url):
    """An unmasker on SQLite or on PostgreSQL."""
    with closing(Unmasker(Books.make(folder, database_url, clock), RULES)) as made:
        yield made
