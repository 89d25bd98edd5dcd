import pytest

from client_sdk.kernel import fedncf
from export.bundle import build, write
from tests import plans


def build_small(seed=1, entries=(plans.GENDER,)):
    """A bundle over 11 items with small widths."""
    widths = fedncf.Widths(gmf=3, mlp=4, hidden=(5, 3))
    plan = plans.make("fedncf", *entries)
    return build("fedncf", [f"item-{i}" for i in range(11)], plan, seed, widths)


@pytest.fixture(scope="session")
def make_small():
    return build_small


@pytest.fixture(scope="session")
def small():
    """Built once."""
    return build_small()


@pytest.fixture
def folder(small, tmp_path):
    """The small bundle in a folder of its own."""
    write(small, tmp_path / "bundle")
    return tmp_path / "bundle"
