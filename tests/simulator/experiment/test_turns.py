"""Clients with a capped number of rounds take turns: every cohort is whole, and the cap holds."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.experiment import assembly, turns
from tests.simulator.settings import make


@given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 40), st.integers(0, 5))
def test_cohorts_are_whole_and_no_client_takes_part_more_often_than_needed(clients, size, rounds, seed):
    size = min(size, clients)
    cohorts = [turns.cohort(seed, number, clients, size).tolist() for number in range(rounds)]
    assert all(len(set(members)) == size for members in cohorts)
    counts = Counter(member for members in cohorts for member in members)
    assert max(counts.values()) <= turns.most(rounds, clients, size)


@pytest.mark.parametrize("fields", [{"noise_on_sums": 1.0}, {"max_participations": 3}])
def test_noise_and_caps_make_clients_take_turns(fields):
    settings = make(rounds=6, fraction=0.5, **fields).engine
    cohorts = [assembly.cohort(settings, number, 10).tolist() for number in range(2)]
    assert sorted(cohorts[0] + cohorts[1]) == list(range(10))
    assert turns.participations(settings, 10, 5) == 3


def test_a_cap_that_the_rounds_do_not_fit_is_refused():
    settings = make(rounds=6, fraction=0.5, max_participations=2).engine
    with pytest.raises(ConfigError, match="need 3 participations"):
        turns.participations(settings, 10, 5)
    assert turns.participations(make(rounds=6, fraction=0.5).engine, 10, 5) == 0
