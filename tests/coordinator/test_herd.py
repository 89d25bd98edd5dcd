"""A simulated day, in small: the state machine and the pace steering together."""

import pytest

from coordinator.bench.herd import simulate


@pytest.fixture(scope="module")
def day():
    return simulate(devices=4000, seed=1, goal=40, training=20)


def test_rounds_go_on_all_day(day):
    assert day.committed > 1500
    assert day.longest < 900


def test_nobody_herds_although_all_wake_at_once(day):
    assert day.peak <= 2 * day.mean + 3  # devices are few: one more or less in a second is much
    assert day.busiest <= 12


def test_devices_are_not_asked_much_more_often_than_they_are_of_use(day):
    assert day.steered + day.unsteered < 4 * 40 * day.committed


def test_a_seed_is_a_day(day):
    assert simulate(devices=300, seed=5, goal=10) == simulate(devices=300, seed=5, goal=10)
    assert "rounds committed" in str(day)
