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


@pytest.mark.parametrize("model", ["fedncf", "fedrap", "fcf", "pfedrec", "fedgnn"])
def test_models_whose_state_stays_on_devices_are_refused(model):
    plan = plans.make(model, erased=[plans.GENDER], local__steps=1)
    with pytest.raises(PlanError, match="FedVAE's latent"):
        build(model, [str(item) for item in range(60)], plan, 0, training=False, serving=False)
