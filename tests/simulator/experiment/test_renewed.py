"""Runs whose erasure is made of maps that devices apply, once or again and again."""

import numpy as np
import pytest

import simulator
from simulator.errors import ConfigError, NoStateError
from simulator.experiment import kept_state
from tests.simulator.runs import SMALL
from tests.simulator.settings import change, make

pytestmark = pytest.mark.usefixtures("fewer")
NARROW = {
    "fedvae": {"plan.model.latent": 8},
    "fedncf": {"plan.model.gmf": 4, "plan.model.mlp": 6, "plan.model.hidden": (8,)},
}


def config_of(model, **settings):
    narrow = {"users": 150, "rounds": 2, "head": "none", "cohort": 70, **NARROW[model]}
    return change(SMALL, model=model, **{**narrow, "erasure": "kernel", "erase_every": 2, **settings})


def run_of(folder, model, **settings):
    return simulator.run(config_of(model, **settings), folder / "run", attacks="none", keep="state")


def kept(run):
    """The shared tensors that a run of FedVAE kept, and what is added to its users' embeddings."""
    state = kept_state.read(run.folder, [], len(run.users))
    return state.shared, state.addends


@pytest.mark.parametrize("model", ["fedvae", "fedncf"])
def test_what_lasts_begins_with_what_the_run_has_measured(tmp_path, model):
    run = run_of(tmp_path, model, floor=0.2)
    assert 0 <= run.metrics["erasure_strength"] <= 1
    assert run.metrics["erasure_steps"] >= 0
    table = run.lasting((1,))
    assert table.groupby("rounds")["ndcg@10"].nunique().eq(1).all()
    assert table.loc[0, "ndcg@10"] == run.metrics["ndcg@10"]


def test_the_maps_that_are_published_are_attacked(tmp_path):
    run = run_of(tmp_path, "fedvae", floor=0.2).attack("quick", splits=1)
    for name in ("map_inverse", "map_statistics", "map_witnesses"):
        assert 0 <= run.metrics[f"auc_{name}"] <= 1
    assert (
        "erased from the state after it (kernel, and again every 2 rounds)" in (run.folder / "report.html").read_text()
    )


def test_the_encoder_stays_and_each_users_embedding_is_moved(tmp_path):
    run, plain = (run_of(tmp_path / kind, "fedvae", erasure=kind, erase_every=0) for kind in ("kernel", "none"))
    (shared, moved), (same, nothing) = kept(run), kept(plain)
    assert shared.keys() == same.keys()
    for name, value in shared.items():
        np.testing.assert_array_equal(value, same[name])
    assert nothing == {}
    ((_, addends),) = moved.items()
    assert (addends != 0).any()
    simulator.run(config_of("fedvae"), tmp_path / "model", attacks="none")
    with pytest.raises(NoStateError, match="adds to embeddings"):
        simulator.load(tmp_path / "model").recommend(plain.users["id"][0])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"erasure": "none"}, "maps for all"),
        ({"erasure": "transport"}, "maps for all"),
        ({"erasure": "auto", "erase_every": -1}, "erase_every"),
    ],
)
def test_an_erasure_that_cannot_be_made_again_is_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        make(model="fedncf", **{"erase_every": 2, **settings})


def test_a_fleet_of_devices_cannot_be_erased_from_while_it_trains(tmp_path):
    with pytest.raises(ConfigError, match="only the batched engine"):
        simulator.run(config_of("fedncf", engine="fleet"), tmp_path, attacks="none")
