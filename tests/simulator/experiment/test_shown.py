"""Runs of recommenders with private tensors whose plan has an eraser: what devices show, and what they keep."""

import numpy as np
import pytest

import simulator
from fedau2.v1.tensors_pb2 import TensorSpec
from simulator.experiment import kept_state
from tests.simulator.runs import SMALL
from tests.simulator.settings import change

pytestmark = pytest.mark.usefixtures("fewer")
MODELS = {
    "fedncf": ({"plan.model.gmf": 4, "plan.model.mlp": 6, "plan.model.hidden": (8,)}, {"user_gmf": 4, "user_mlp": 6}),
    "fedgnn": ({"plan.model.latent": 6}, {"user_vector": 6}),
}
BASE = {"users": 150, "rounds": 4, "head": "none", "cohort": 70, "unknown": 0.2, "late": 0.3}
ERASED = {
    "plan.erased": "all", "plain_statistics": True, "plan.eraser.minimum": 2, "plan.eraser.frequencies": 16,
    "plan.eraser.rate": 0.5,
}  # fmt: skip


def config_of(model, **settings):
    return change(SMALL, model=model, **settings, **MODELS[model][0])


def run_of(folder, model, **more):
    return simulator.run(config_of(model, **BASE, **ERASED, **more), folder / "run", attacks="none", keep="state")


@pytest.mark.parametrize("model", MODELS)
def test_devices_show_moved_states_and_train_on_from_those_that_they_keep(model, tmp_path):
    run, shapes = run_of(tmp_path, model), MODELS[model][1]
    specs = [TensorSpec(name=name, shape=[width]) for name, width in shapes.items()]
    shown, trained = (kept_state.read(run.folder, specs, len(run.users), trained=kept) for kept in (False, True))
    for name in shapes:
        assert (shown.private[name] != trained.private[name]).any(1).all()
    assert run.metrics["erasure_strength"] > 0
    table = run.lasting((1,))
    assert {"everybody", "late", "unknown"} == set(table["users"])
    assert table.loc[0, "ndcg@10"] == run.metrics["ndcg@10"]
    assert set(table.query("on == 'change'")["rounds"]) == {1}
    without = simulator.run(config_of(model, **BASE), tmp_path / "plain", attacks="none", keep="state")
    plain = kept_state.read(without.folder, specs, len(run.users))
    for name in shapes:
        np.testing.assert_array_equal(plain.private[name], trained.private[name])
    assert without.metrics["ndcg@10"] != run.metrics["ndcg@10"]


@pytest.mark.parametrize("shifts", [False, True])
def test_all_that_is_published_is_attacked(shifts, tmp_path):
    attacked = run_of(tmp_path, "fedgnn", **{"plan.eraser.shifts": shifts}).attack("quick", splits=1)
    for name in ("map_inverse", "map_statistics", "map_witnesses", *(("map_shifts",) if shifts else ())):
        assert 0 <= attacked.metrics[f"auc_{name}"] <= 1
    assert ("auc_map_shifts" in attacked.metrics) == shifts
