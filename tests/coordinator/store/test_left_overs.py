"""Files that no task needs."""

from coordinator.store.disk import REAL
from coordinator.store.left_overs import LeftOvers


def test_nothing_is_written_over(tmp_path):
    left_overs = LeftOvers(tmp_path / "aside", REAL)
    for part in ("log", "blobs"):
        (tmp_path / part).mkdir()
        for content in ("one", "two", "three"):
            (tmp_path / part / "name").write_text(content)
            left_overs.set_aside([tmp_path / part / "name"])
        names = ("name", "name.2", "name.3")
        assert [(tmp_path / "aside" / part / name).read_text() for name in names] == ["one", "two", "three"]
        assert not (tmp_path / part / "name").exists()
