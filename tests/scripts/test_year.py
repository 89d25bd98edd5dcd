"""A short year of a service: what must hold does, and the program sees what does not."""

from contextlib import closing

import pytest

from client_sdk.store.lineage import Lineage
from scripts.year.__main__ import main
from scripts.year.devices import Device


def rows(printed):
    return [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")][1:]


def test_weeks_of_successors_lose_nothing(movielens, capsys):
    assert main(["--data-dir", str(movielens), "--quick"]) == 0
    printed = capsys.readouterr().out
    *weeks, anew = rows(printed)
    assert [row[0] for row in (*weeks, anew)] == ["week 2", "week 3", "training anew"]
    assert int(weeks[0][2]) < int(weeks[1][2]) == int(anew[2])  # the catalogue grows
    assert 0 < int(weeks[0][3]) < int(weeks[1][3]) == int(anew[3])  # rounds go on through all tasks
    assert all(0 <= float(row[4]) <= 1 for row in weeks)
    assert printed.splitlines()[-1] == "everything held"


def test_state_that_is_not_carried_over_is_seen(movielens, capsys, monkeypatch):
    monkeypatch.setattr(Lineage, "ancestor", lambda lineage, hashes, model: None)
    assert main(["--data-dir", str(movielens), "--quick"]) == 1
    printed = capsys.readouterr()
    assert "carried over 0 times" in printed.out
    assert "private state was not carried over" in printed.err


@pytest.mark.parametrize("lost", [0, 1])
def test_lost_records_are_seen(tmp_path, lost):
    with closing(Device(tmp_path / "device", "torch")) as device:
        device.record(["film-1", "film-2"], week=0)
        device._core.store.database.write("DELETE FROM interactions WHERE rowid <= ?", (lost,))
        device.check()
        assert device.faults == ["1 recorded items are lost"] * lost


def test_a_device_without_a_model_is_seen(tmp_path):
    with closing(Device(tmp_path / "device", "torch")) as device:
        device.synced = True
        device.check()
        (fault,) = device.faults
        assert fault.startswith("there are no recommendations")
