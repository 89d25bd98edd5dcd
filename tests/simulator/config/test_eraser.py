"""Settings of an eraser in a run and in a task: what fits, and who refuses what does not."""

import pytest

from client_sdk.errors import UnsupportedTaskError
from client_sdk.protocol.manifests import parse
from export.bundle import build
from export.errors import PlanError
from export.plan.message import to_document
from simulator.config.config import Config
from simulator.errors import ConfigError
from tests import plans

ERASED = {"plan.model.name": "fedvae", "plan.adversaries": "none", "plan.erased": "all"}


def test_an_eraser_is_refused_in_plain_sums_unless_a_simulation_is_meant():
    with pytest.raises(ConfigError, match="plain_statistics"):
        Config.of(ERASED)
    assert Config.of({**ERASED, "engine.plain_statistics": True}).plan.erased is None
    assert Config.of({**ERASED, "engine.sums": "grid"}).plan.eraser.floor == 0.15


@pytest.mark.parametrize(
    "change",
    [{"after_training.erasure": "kernel"}, {"after_training.floor": 0.1}, {"evaluation.personal_steps": 1}],
)
def test_what_changes_the_same_state_is_refused(change):
    with pytest.raises(ConfigError, match=r"plan\.erased"):
        Config.of({**ERASED, "engine.sums": "grid", **change})


def test_settings_of_an_eraser_without_erased_attributes_are_refused():
    with pytest.raises(ConfigError, match=r"eraser\.floor has no effect"):
        Config.of({"plan.eraser.floor": 0.5})


def test_a_plan_is_the_same_after_its_message():
    entries = [{**plans.GENDER, "name": "g"}, plans.AGE]
    message = plans.make("fedvae", erased=entries, eraser__rate=0.5)
    document = to_document("fedvae", message)
    assert document["eraser"]["rate"] == 0.5
    assert [entry["name"] for entry in document["erased"]] == ["g", "erased-age"]
    assert to_document("fedvae", plans.make("fedvae"))["erased"] == "none"


def test_a_device_refuses_a_task_whose_sums_are_plain():
    bundle = build("fedvae", ["a", "b"], plans.make("fedvae", erased=[plans.GENDER]), 0, training=False, serving=False)
    assert list(bundle.manifest.required_features) == ["eraser"]
    with pytest.raises(UnsupportedTaskError, match="secure sums"):
        parse(bundle.manifest.SerializeToString())


@pytest.mark.parametrize(
    ("model", "protects"),
    [
        ("fedncf", ["user_gmf", "user_mlp"]),
        ("fcf", ["user_vector"]),
        ("pfedrec", ["score_weight", "score_bias"]),
        ("fedgnn", ["user_node", "user_vector"]),
    ],
)
def test_all_that_a_device_shows_is_erased_from(model, protects):
    plan = plans.make(model, erased=[plans.GENDER])
    task = build(model, ["a", "b"], plan, 0, training=False, serving=False).manifest
    assert list(task.plan.eraser.protects) == protects
    assert list(task.required_features) == ["eraser", "private-eraser"]
    shifting = plans.make(model, erased=[plans.GENDER], eraser__shifts=True)
    moved = build(model, ["a", "b"], shifting, 0, training=False, serving=False).manifest
    assert list(moved.required_features) == ["eraser", "private-eraser", "eraser-shifts"]


@pytest.mark.parametrize(("items", "why"), [(60, "1,980 numbers.* at most 1,024"), (3, "depends on the catalogue")])
def test_a_state_over_the_catalogue_is_refused(items, why):
    plan = plans.make("fedrap", erased=[plans.GENDER])
    with pytest.raises(PlanError, match=why):
        build("fedrap", [str(item) for item in range(items)], plan, 0, training=False, serving=False)
