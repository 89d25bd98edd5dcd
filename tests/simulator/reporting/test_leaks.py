"""What attacks read beside their nulls, and when two runs differ in it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.evaluation.attacked_outputs import OUTPUTS
from simulator.reporting import leaks
from simulator.reporting.leaks import Leak


def metrics(name, success, null=0.55, mean=0.52):
    return {f"bacc_{name}": success, f"bacc_null_p95_{name}": null, f"bacc_null_mean_{name}": mean}


@pytest.mark.parametrize(
    ("name", "source", "attack"),
    [
        ("largest_all", "state", "the best of all families on all private state"),
        ("neighbours", "state", "the attacker neighbours on the embedding"),
        ("map_gaps", "map", "a guess by the gaps that class maps leave"),
        ("scores", "lists", "a linear attacker on scores"),
    ],
)
def test_every_attack_is_considered_with_what_it_reads_from(name, source, attack):
    figures = metrics("strong", 0.8, null=0.79) | metrics(name, 0.7)
    strongest = leaks.strongest(leaks.leaks_of(figures))
    assert (strongest.source, strongest.attack, strongest.success) == (source, attack, 0.7)
    further = {f"age/{key}": value for key, value in figures.items()}
    assert list(leaks.leaks_of(further)) == []
    assert leaks.strongest(leaks.leaks_of(further, "age/")) == strongest


def test_every_output_is_a_list_or_needs_no_state():
    read = [leak.source for name in OUTPUTS for leak in leaks.leaks_of(metrics(name, 0.7))]
    assert read == ["lists"] * (len(OUTPUTS) - 2)
    assert all(not list(leaks.leaks_of(metrics(name, 0.7))) for name in ("popular10", "popular50"))


def drawn(success, mean=0.52, null=0.55):
    return Leak("it", "state", success, null, mean, float("nan"))


@given(st.floats(0.4, 1), st.floats(0.4, 1), st.integers(1, 50))
def test_a_change_is_beyond_the_spread_and_one_of_more_methods_must_be_larger(ours, theirs, comparisons):
    change = leaks.change(drawn(ours), drawn(theirs), comparisons)
    assert change == {"more": "less", "less": "more", "": ""}[leaks.change(drawn(theirs), drawn(ours), comparisons)]
    if max(ours, theirs) <= 0.55 or abs(ours - theirs) < 0.03:
        assert change == ""
    if change:
        assert leaks.change(drawn(ours), drawn(theirs), 1) == change
    assert leaks.change(drawn(ours, mean=float("nan")), drawn(theirs), comparisons) == ""


def test_runs_that_leak_alike_are_seldom_told_apart():
    rng = np.random.default_rng(0)
    successes = 0.6 + 0.018 * rng.standard_normal((300, 10, 2))  # the nulls have this deviation
    differ = [any(leaks.change(drawn(ours), drawn(theirs), 10) for ours, theirs in ten) for ten in successes]
    assert np.mean(differ) < 0.15
