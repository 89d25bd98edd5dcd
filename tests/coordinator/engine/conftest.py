import pytest

from coordinator.engine import opening
from tests.coordinator.hidden import Party


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """An unmasker that has enrolled its devices."""
    return Party(tmp_path_factory.mktemp("template") / "unmasker")


@pytest.fixture
def party(tmp_path, template, monkeypatch):
    """The same, for one test; a coordinator calls it again soon after a call that failed."""
    monkeypatch.setattr(opening, "FIRST", 0.01)
    monkeypatch.setattr(opening, "LONGEST", 0.05)
    return Party(tmp_path / "unmasker", template)
