"""No round is lost: coordinator and devices are killed again and again, and what is acknowledged counts, once."""

import shutil
from dataclasses import replace

import pytest

from client_sdk.kernel import fedncf
from export import bundle as bundles
from tests import plans
from tests.durability.audit import books
from tests.durability.devices import ITEMS, Fleet, twin
from tests.durability.reaper import Plan, Reaper, create

WIDTHS = fedncf.Widths(gmf=4, mlp=8, hidden=(8, 4))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    plan = plans.make("fedncf", plans.GENDER, server__clip_norm=80, server__clip_medians=1)
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    bundles.write(bundles.build("fedncf", ITEMS, plan, 0, WIDTHS), folder)
    return folder


@pytest.fixture
def run(bundle, capsys):
    """Runs a fleet to its end, checks what must hold after any run, and prints the figures."""

    def run(fleet, plan, task_id):
        reaper = Reaper(fleet, task_id, plan)
        figures = reaper.run()
        assert sum(figures.kills.values()) == plan.coordinator
        check(reaper.coordinator, task_id, fleet, bundles.read(bundle))
        with capsys.disabled(), books(reaper.coordinator.state) as ledger:
            print(f"\n{fleet}: {figures}; {ledger.told(fleet.journal())}")
        return reaper

    return run


def check(coordinator, task_id, fleet, bundle):
    with books(coordinator.state) as ledger:
        assert len(ledger.checkpoints()) == fleet.rounds
        ledger.check_histories()
        ledger.check_checkpoints(bundle.manifest, bundle.blob(bundle.manifest.checkpoint), fleet.sent)
        ledger.check_devices(fleet.journal(), fleet.private(task_id))
    assert not list((coordinator.state / "log").iterdir()), "segments of committed rounds are left"
    assert "ERROR" not in coordinator.log.read_text()


def check_reproducible(fleet, plan, run, bundle):
    """Only a round's cohort comes; places are enough for the answers that a kill loses; attempts may be abandoned.

    Both runs have one task, because devices draw other numbers for another.
    """
    options = ("--goal", fleet.cohort, "--over-selection", 6, "--lease", 10, "--deadline", 20)
    calm, wild = (replace(fleet, folder=fleet.folder / name) for name in ("calm", "wild"))
    calm.make()
    task_id = create(calm, bundle, options)
    shutil.copytree(calm.folder, wild.folder, copy_function=twin)
    undisturbed = run(calm, Plan(), task_id)
    with books(undisturbed.coordinator.state) as ledger:
        checkpoints, pace = ledger.checkpoints(), ledger.seconds_per_round()
    killed = run(wild, replace(plan, seconds_per_round=pace), task_id)
    with books(killed.coordinator.state) as ledger:
        assert ledger.checkpoints() == checkpoints
    assert wild.private(task_id) == calm.private(task_id)


def check_free(fleet, plan, run, bundle):
    """Devices come and go, vanish and give up; leases are short; rounds close at goal or deadline, or are abandoned."""
    fleet.make()
    goal = fleet.devices // 4
    options = ("--goal", goal, "--minimum", goal // 2, "--over-selection", 0.3, "--lease", 1.5, "--deadline", 2)
    run(fleet, plan, create(fleet, bundle, options))


def test_killed_again_and_again_it_ends_in_the_bytes_of_an_undisturbed_run(tmp_path, run, bundle):
    fleet = Fleet(tmp_path, devices=60, workers=2, rounds=3, cohort=30, seed=1)
    check_reproducible(fleet, Plan(coordinator=12, workers=3), run, bundle)


def test_killed_while_devices_come_and_go_it_counts_what_it_acknowledged(tmp_path, run, bundle):
    fleet = Fleet(tmp_path, devices=24, workers=2, rounds=3, cohort=0, seed=3)
    check_free(fleet, Plan(coordinator=8, workers=2), run, bundle)


@pytest.mark.slow
def test_two_hundred_kills_change_no_byte(tmp_path, run, bundle):
    fleet = Fleet(tmp_path, devices=500, workers=4, rounds=20, cohort=250, seed=2)
    check_reproducible(fleet, Plan(coordinator=200, workers=40), run, bundle)


@pytest.mark.slow
def test_two_hundred_kills_while_devices_come_and_go_lose_nothing(tmp_path, run, bundle):
    fleet = Fleet(tmp_path, devices=160, workers=4, rounds=40, cohort=0, seed=4)
    check_free(fleet, Plan(coordinator=200, workers=40), run, bundle)
