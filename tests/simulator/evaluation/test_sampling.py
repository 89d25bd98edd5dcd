"""A sample of users in place of all."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.api.running import load
from simulator.datasets import synthetic
from simulator.datasets.split import leave_one_out
from simulator.evaluation import sampling
from simulator.evaluation.held_out import Evaluation
from simulator.experiment import run
from simulator.reporting import frames
from tests.simulator.quiet import Quiet
from tests.simulator.runs import SMALL
from tests.simulator.settings import change


@given(st.integers(2, 500), st.integers(0, 600))
def test_a_sample_has_different_users_in_order_and_is_the_same_each_time(clients, most):
    users = sampling.users(clients, most)
    assert len(users) == (most if 0 < most < clients else clients)
    assert (np.diff(users) > 0).all()
    assert users[0] >= 0
    assert users[-1] < clients
    np.testing.assert_array_equal(users, sampling.users(clients, most))


def test_a_sample_is_counted_and_all_users_are_not():
    assert sampling.metrics(600, 3000) == {"evaluated_users": 600}
    assert sampling.metrics(3000, 3000) == {}


def test_users_of_a_sample_have_the_ranks_that_they_have_among_all(observed):
    task, population = observed(30)
    split = leave_one_out(synthetic.generate(30, 200))
    shared = {name: tensor.numpy() for name, tensor in (task.shared | task.adversary).items()}
    whole, some = (Evaluation(task.manifest, split, most=most) for most in (0, 7))
    of_all, of_some = (e.test_ranks(shared, population.state.values) for e in (whole, some))
    np.testing.assert_array_equal(of_some.full, of_all.full[some.users])
    np.testing.assert_array_equal(of_some.sampled, of_all.sampled[some.users])


def test_a_run_on_a_sample_says_so_everywhere(tmp_path):
    config = change(SMALL, evaluate_users=20, cohort=5)
    metrics = run.run(config, tmp_path, None, Quiet(), attacks="none")
    assert metrics["evaluated_users"] == 20
    assert all(low <= metrics[name] <= high for name, (low, high) in metrics["intervals"].items())
    assert metrics["clients_trained"] == 4 * 5
    assert frames.read(tmp_path / "ranks.parquet")["user"].tolist() == sampling.users(60, 20).tolist()
    assert "Ranks are of 20 users, a random sample of 60." in (tmp_path / "report.html").read_text()
    users = load(tmp_path).users
    assert users["rank"].notna().sum() == 20
    assert len(users) == 60
