"""What the metrics of plug-ins are computed from."""

import numpy as np
import pytest

from fedau2 import plugins
from simulator.evaluation.ranking import ndcg, rank_all
from simulator.experiment import run
from simulator.experiment.own_metrics import Metric
from tests.simulator.quiet import Quiet
from tests.simulator.runs import SMALL
from tests.simulator.settings import change


@pytest.mark.parametrize("most", [0, 20])
def test_everything_is_of_the_users_who_are_ranked(tmp_path, monkeypatch, most):
    given = []

    def ranked_again(measurement):
        given.append(measurement)
        places, split = np.arange(len(measurement.users)), measurement.split
        nothing = [np.append(split.seen(place), split.validation[place]) for place in places.tolist()]
        ranks = rank_all(measurement.scores, split.test, split.candidates(places)[1], nothing)
        np.testing.assert_array_equal(ranks.sampled, measurement.ranks.sampled)
        return ndcg(ranks.full, 10)

    monkeypatch.setattr(plugins, "_used", {})
    monkeypatch.setenv(plugins.VARIABLE, "")
    plugins.use(plugins.Plugin("mine", api=plugins.API, metrics={"again": Metric(ranked_again)}))
    config = change(SMALL, evaluate_users=most)
    metrics = run.run(config, tmp_path, None, Quiet(), attacks="none")
    assert metrics["again"] == pytest.approx(metrics["ndcg@10_full"])
    (measurement,) = given
    assert len(measurement.users) == len(measurement.split.train) == len(measurement.attributes["gender"].labels)
    assert len(measurement.users) == (most or metrics["users"])
