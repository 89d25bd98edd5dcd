"""What sums over groups tell of their members, by the size of the groups and the head."""

import numpy as np
import pytest

from simulator.attacks import sums
from simulator.attacks.aims import Learns
from simulator.attacks.sums import Sums
from simulator.audit import scores


def success(observed, head, how, rounds=(60,), users=80, cohort=40, **settings):
    task, population = observed(users, head=head, **settings)
    (each,) = task.manifest.plan.adversaries
    members = sums.knowing(population, task, each)
    truth = population.labels(task.manifest, members)["gender"]
    guesses = sums.attack(task, each, population, how, cohort, rounds, 0)
    return {n: scores.score(Learns.LABEL, guess, truth, 2, 0) for n, guess in guesses}


def test_small_changing_groups_hide_nothing_behind_a_plain_head(observed):
    assert success(observed, "mlp", Sums(4))[60].success > 0.95


def test_one_group_of_the_whole_cohort_hides_more(observed):
    small, large = (success(observed, "mlp", Sums(size), rounds=(20,))[20].success for size in (4, 40))
    assert large < small - 0.1


def test_the_second_noise_hides_more_than_none(observed):
    plain, noisy = (success(observed, head, Sums(4), rounds=(15,))[15].success for head in ("mlp", "dsvae"))
    assert noisy < plain


def test_rounds_add_up(observed):
    found = success(observed, "dsvae", Sums(4), rounds=(5, 200))
    assert found[5].success < found[200].success
    assert list(found) == [5, 200]


def test_fixed_groups_stop_the_regression_at_what_a_group_has_in_common(observed):
    drawn, fixed = (success(observed, "mlp", Sums(8, fixed), rounds=(150,))[150] for fixed in (False, True))
    assert fixed.success < drawn.success - 0.1
    later = success(observed, "mlp", Sums(8, fixed=True), rounds=(300,))[300]
    assert later.success == pytest.approx(fixed.success, abs=0.06)


def test_members_of_a_fixed_group_are_told_alike(observed):
    task, population = observed(40, head="mlp")
    (each,) = task.manifest.plan.adversaries
    ((_, guess),) = sums.attack(task, each, population, Sums(40, fixed=True), 40, (20,), 0)
    assert len(np.unique(guess)) == 1


def test_names():
    assert [each.name for each in (Sums(10), Sums(94, fixed=True))] == ["sums-10", "sums-94-fixed"]
