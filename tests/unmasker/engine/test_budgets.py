"""Budgets: no device tells more than its own, over all tasks, restarts and epochs."""

from contextlib import closing

import pytest

from fedau2.v1.unmasker_pb2 import Budget
from fedau2.wire.secure import privacy
from tests.secure_tasks import noisy, policy
from tests.unmasker.conftest import RULES
from tests.unmasker.device import opening
from tests.unmasker.engine.test_rounds import audited
from tests.unmasker.scene import Scene
from tests.unmasker.sums import MEMBERS, Crowd
from unmasker import Books, Rules, Unmasker
from unmasker.engine import reading
from unmasker.errors import BudgetError

DELTA = 1e-6


def for_contributions(count, noise=4.0):
    """The budget of so many contributions."""
    return Budget(epsilon=privacy.epsilon(privacy.mu(count, noise), DELTA) * (1 + 1e-9), delta=DELTA)


def limited(folder, clock, budget):
    return closing(Unmasker(Books(folder, None, clock), Rules(RULES.providers, budget=budget)))


def sums(noise=4.0):
    made = noisy()
    made.noise_multiplier = noise
    return made


@pytest.fixture
def made(folder, clock):
    Books.make(folder, None, clock).close()


def test_a_device_is_refused_when_its_budget_is_spent_over_tasks_restarts_and_epochs(made, folder, clock):
    with limited(folder, clock, for_contributions(3)) as unmasker:
        scene = Scene(unmasker, number=1, sums=sums())
        for _ in range(3):
            assert scene.ask()[0].opened.set
        other = Scene(unmasker, number=1, count=0, name=b"other", sums=sums())
        other.crowd = scene.crowd
        other.open(2)
        assert other.ask()[0].opened.set
    with limited(folder, clock, for_contributions(3)) as scene.unmasker:
        scene.open(2)
        assert scene.ask()[0].opened.set
        with scene.unmasker.books.writing() as page:
            scene.unmasker.books.begin_epoch(page)
        crowd = scene.crowd
        scene = Scene(scene.unmasker, number=0, count=0, name=b"after", sums=sums())
        scene.crowd = crowd
        scene.open(1)
        assert len(scene.refused()) == MEMBERS
        late = scene.task.contributions(scene.key, Crowd(scene.unmasker, 2))
        assert [one.lease for one in scene.refused([*scene.sent, *late])] == [one.lease for one in scene.sent]


@pytest.mark.parametrize("noise", [5e-324, 1e-200, 1e-160, 1e-20, 1e-3])
def test_noise_that_is_next_to_none_is_beyond_every_budget(made, folder, clock, noise):
    with limited(folder, clock, for_contributions(3)) as unmasker:
        request = opening(1)
        request.policy = sums(noise).SerializeToString()
        with pytest.raises(BudgetError, match="raise noise_multiplier"):
            unmasker.open_round(request)


def test_what_was_spent_before_a_budget_was_set_counts(unmasker, folder, clock):
    scene = Scene(unmasker, number=1, sums=sums())
    scene.ask()
    unmasker.close()
    with limited(folder, clock, for_contributions(1)) as scene.unmasker:
        scene.open(2)
        assert len(scene.refused()) == MEMBERS


def test_rounds_that_cannot_keep_the_budget_are_not_opened(made, folder, clock):
    with limited(folder, clock, for_contributions(2, 4.0)) as unmasker:
        with pytest.raises(BudgetError, match="noise_multiplier"):
            unmasker.open_round(opening(1))
        with pytest.raises(BudgetError, match="epsilon of"):
            Scene(unmasker, sums=sums(2.0))
        assert not any(entry.HasField("round") for entry in audited(unmasker).entries)
        assert Scene(unmasker, name=b"another", sums=sums(3.0)).ask()[0].opened.set


def test_a_round_that_was_opened_before_there_was_a_budget_is_not_summed(unmasker, folder, clock):
    scene, opened = Scene(unmasker), Scene(unmasker, name=b"opened", sums=policy())
    answer = opened.ask()
    unmasker.close()
    with limited(folder, clock, for_contributions(2)) as scene.unmasker:
        with pytest.raises(BudgetError):
            scene.ask()
        opened.unmasker = scene.unmasker
        assert opened.ask() == answer, "what has been answered stays answered"


def test_a_budget_is_logged_when_it_changes_and_is_in_the_status(unmasker, folder, clock):
    assert not reading.status(unmasker.books).budget.epsilon
    unmasker.close()
    first, second = Budget(epsilon=8, delta=1e-6), Budget(epsilon=4, delta=1e-6)
    for budget in (first, first, second, Budget(), Budget()):
        with limited(folder, clock, budget) as unmasker:
            assert reading.status(unmasker.books).budget == budget
            logged = [entry.budget for entry in audited(unmasker).entries if entry.HasField("budget")]
    assert logged == [first, second, Budget()]
