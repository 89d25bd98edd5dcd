"""A floor of noise in runs: on what is kept, on what is shown, and in a run that is loaded again."""

import numpy as np
import pytest

from simulator.api.running import load
from simulator.api.running import run as api_run
from simulator.errors import ConfigError, NoStateError
from simulator.experiment.train import train
from tests.simulator.quiet import Quiet
from tests.simulator.runs import SMALL
from tests.simulator.settings import change

pytestmark = pytest.mark.usefixtures("fewer")
MODELS = ["fedvae", "fedncf"]
NARROW = {"fedvae": {"plan.model.latent": 8}, "fedncf": {}}


def config_of(model, **more):
    return change(SMALL, model=model, head="none", rounds=2, floor=0.5, **more)


@pytest.mark.parametrize(("model", "erasure"), [("fedvae", "none"), ("fedvae", "0.5"), ("fedncf", "none")])
def test_the_noise_is_on_the_state_and_on_what_is_shown_of_it(tmp_path, model, erasure):
    config = config_of(model, erasure=erasure, **NARROW[model])
    runs = [
        train(each, tmp_path / str(each.after_training.floor), None, Quiet())
        for each in (config, change(config, floor=0.0))
    ]
    scorers = [run.measured.scorer(run.evaluation) for run in runs]
    noised, plain = (next(iter(scorer.embedding().values())) for scorer in scorers)
    np.testing.assert_allclose(((noised - plain).std(0) / plain.std(0)).mean(), 0.5, rtol=0.15)
    assert (runs[0].ranks().full != runs[1].ranks().full).any()
    scores = [scorer(np.arange(5)) for scorer in scorers]
    assert (scores[0] != scores[1]).any(1).all()


@pytest.mark.parametrize("model", MODELS)
def test_a_run_that_kept_its_state_recommends_with_the_noise(tmp_path, model):
    run = api_run(config_of(model), tmp_path / "kept", attacks="none", keep="state")
    rank = run.users["rank_full"].to_numpy()
    for user in (0, 7):
        items = run.recommend(run.users["id"][user], top=10**6)
        rivals = items[items["held_out"] != "validation"].reset_index(drop=True)
        assert rivals.index[rivals["held_out"] == "test"].tolist() == [rank[user]]
    attacked = load(tmp_path / "kept").attack("quick", splits=1)
    assert 0.5 <= attacked.metrics["bacc_strong"] <= 1


def test_a_run_that_kept_its_model_alone_has_no_noise_to_recommend_with(tmp_path):
    run = api_run(config_of("fedvae"), tmp_path / "run", attacks="none")
    with pytest.raises(NoStateError, match="floor of noise adds"):
        run.recommend(run.users["id"][0])


@pytest.mark.parametrize(
    ("settings", "said"), [({"noise": 1.0}, "noise and floor"), ({"personal_steps": 1}, "choose one")]
)
def test_what_a_floor_contradicts_is_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        config_of("fedncf", **settings)
