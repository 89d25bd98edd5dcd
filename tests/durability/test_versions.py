"""A coordinator of two versions of the ledger before is killed at its work, and those of this version go on."""

import shutil
from dataclasses import replace

import pytest

pytest.importorskip("psycopg", reason="the extra postgres is not installed")

from tests.durability import versions
from tests.durability.audit import books
from tests.durability.devices import Fleet, twin
from tests.durability.moved import Move, Moved
from tests.durability.reaper import Plan, Reaper, create
from tests.durability.rolling import balanced
from tests.durability.twins import Twins

OPTIONS = ("--goal", 20, "--over-selection", 6, "--lease", 10, "--deadline", 20)


class Upgrade(Reaper):
    """A run in which the coordinator becomes one of this version, after it was killed in the midst of a round.

    Attributes:
        in_flight: contributions to the open round that the older version had acknowledged.
    """

    in_flight = 0

    def _one_life(self, left):
        super()._one_life(left)
        if not self.in_flight and left <= self._plan.coordinator // 2:
            with books(self.coordinator.state) as ledger:
                number = ledger.newest()[2]
                self.in_flight = sum(report.round == number for report in ledger.reports())
                assert ledger.rows("SELECT version FROM meta") == [(4,)]
            if self.in_flight:
                self.coordinator.sources = versions.HERE


def run(fleet, task_id, plan, old, kind=Reaper):
    """Runs a fleet to its end. Returns the run, the checkpoints, and what the devices keep."""
    reaper = kind(fleet, task_id, plan, old)
    reaper.run()
    with books(reaper.coordinator.state) as ledger:
        ledger.check_histories()
        ledger.check_devices(fleet.journal(), fleet.private(task_id))
        return reaper, ledger.checkpoints(), fleet.private(task_id)


@pytest.mark.slow
def test_a_round_that_an_older_version_began_ends_in_the_same_bytes(tmp_path, small_bundle):
    """The other run is by the older version alone, to its end."""
    old = versions.earlier(versions.LEDGER_4, tmp_path / "old")
    fleet = Fleet(tmp_path, devices=40, workers=2, rounds=8, cohort=20, seed=8)
    calm, wild = (replace(fleet, folder=tmp_path / name) for name in ("calm", "wild"))
    calm.make()
    task_id = create(calm, small_bundle, ("--rounds", fleet.rounds, *OPTIONS), old)
    shutil.copytree(calm.folder, wild.folder, copy_function=twin)
    _, checkpoints, private = run(calm, task_id, Plan(), old)
    upgraded, *disturbed = run(wild, task_id, Plan(coordinator=12), old, Upgrade)
    assert upgraded.in_flight
    assert disturbed == [checkpoints, private]


@pytest.mark.slow
def test_several_go_on_where_an_older_one_alone_was_killed(tmp_path, server, small_bundle, capsys):
    old = versions.earlier(versions.LEDGER_4, tmp_path / "old")
    fleet = Fleet(tmp_path, devices=40, workers=2, rounds=8, cohort=20, seed=8)
    twins = Twins(fleet, server, small_bundle, lambda folder, url: Moved(folder, url, 2, old))
    with balanced(Moved(twins.wild.folder, twins.url, 2, old)) as replicas:
        told, _ = twins.check(Move(twins.wild, replicas, twins.task_id))
    with capsys.disabled():
        print(told)
