"""A simulated day, in small: the state machine and the pace steering together."""

import json

import pytest

from coordinator.bench import herd
from coordinator.bench.herd import simulate
from coordinator.cli import main
from coordinator.model.pace import IDLE_RATE


@pytest.fixture(scope="module")
def day():
    return simulate(devices=4000, seed=2, goal=40, training=20)


def test_rounds_go_on_all_day(day):
    assert day.committed > 1500
    assert day.longest < 900
    assert day.starved == 0
    assert day.abandoned > 0  # whoever was away for an hour has missed a deadline


def test_nobody_herds_although_all_wake_at_once(day):
    calm = 2 * day.mean + 3  # devices are few: one more or less in a second is much
    assert day.peak <= IDLE_RATE + calm  # the first round is slow, so there is a crowd
    assert day.busiest <= IDLE_RATE + 12


def test_devices_are_not_asked_much_more_often_than_they_are_of_use(day):
    assert day.steered + day.unsteered < 4 * 40 * day.committed


def test_a_seed_is_a_day(day):
    assert simulate(devices=300, seed=5, goal=10) == simulate(devices=300, seed=5, goal=10)


def test_too_few_devices_starve_rounds():
    day = simulate(devices=100, goal=40)
    assert day.starved > 10
    assert 0 < day.committed < 1500


def test_the_command_prints_a_day(monkeypatch, capsys):
    monkeypatch.setattr(herd, "QUICK", herd.Effort(devices=1000, goal=10))
    assert main(["bench", "herd", "--quick", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["starved"] == 0
    assert main(["bench", "herd", "--quick"]) == 0
    assert "starved 0, abandoned over the outage" in capsys.readouterr().out
