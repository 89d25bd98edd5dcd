"""Settings of passes, widths and restarts in a run and in a task: what fits, and who refuses what does not."""

from contextlib import nullcontext

import pytest

from client_sdk.errors import MissingFeatureError
from client_sdk.protocol import manifests
from export.bundle import build
from export.errors import PlanError
from export.plan.message import to_document
from fedau2.wire import manifest, staleness
from fedau2.wire.errors import ManifestError
from simulator.audit.planning import plan
from simulator.config.config import Config
from simulator.errors import ConfigError
from simulator.experiment.calibration import calibrate
from tests import plans


@pytest.mark.parametrize("noise", [{"engine.local_noise": 0.1, "plan.server.clip_norm": 1.0}, {"engine.apm": 1.0}])
def test_noise_of_baselines_is_refused(noise):
    Config.of({"plan.server.passes": 1})
    with pytest.raises(ConfigError, match=r"server\.passes"):
        Config.of({"plan.server.passes": 1, **noise})


def test_an_erasure_that_is_made_again_in_training_is_refused():
    Config.of({"plan.server.passes": 1, "after_training.erasure": "kernel"})
    with pytest.raises(ConfigError, match=r"erase_every"):
        Config.of({"plan.server.passes": 1, "after_training.erasure": "kernel", "after_training.erase_every": 2})


def test_late_contributions_to_adversaries_that_restart_are_refused():
    restarting = {**plans.GENDER, "restart_every": 2}
    plans.make("fedncf", plans.GENDER, server__most_stale=2)
    with pytest.raises(PlanError, match=r"most_stale must be 0 .* restart_every is above 0 for gender"):
        plans.make("fedncf", restarting, server__most_stale=2)
    task = build("fedncf", ["a", "b"], plans.make("fedncf", restarting), 0, training=False, serving=False).manifest
    task.plan.server.buffered.most_stale = 2
    task.required_features.append(staleness.FEATURE)
    with pytest.raises(ManifestError, match="adversaries restart"):
        manifest.check(task)


@pytest.mark.parametrize(("apart", "fits"), [(0, True), (1, True), (2, True), (3, False), (4, True), (6, False)])
def test_devices_meet_passes_and_other_rounds(apart, fits):
    settings = {"server__passes": 2, "minimum_separation": apart}
    with nullcontext() if fits else pytest.raises(PlanError, match=r"multiple of server\.passes \+ 1"):
        plans.make("fedncf", plans.GENDER, **settings)


def test_calibration_needs_a_second_step_of_the_recommender():
    task = build("fedncf", ["a", "b"], plans.make("fedncf", plans.GENDER, server__passes=3), 0, training=False).manifest
    for rounds in (1, 4):
        with pytest.raises(ConfigError, match="at least 5 rounds"):
            calibrate(Config.of({"engine.rounds": rounds}).engine, task, {}, None)


def test_a_plan_is_the_same_after_its_message():
    entries = [plans.GENDER, {**plans.GENDER, "name": "wide", "width": 512, "restart_every": 60}]
    document = to_document("fedncf", plans.make("fedncf", *entries, server__passes=3))
    assert [entry["width"] for entry in document["adversaries"]] == [100, 512]
    assert [entry["restart_every"] for entry in document["adversaries"]] == [0, 60]
    assert document["server"]["passes"] == 3


def test_a_plan_without_them_has_the_bytes_of_one_that_does_not_know_them():
    message = plans.make("fedncf", {**plans.GENDER, "width": 100, "restart_every": 0}, server__passes=0)
    assert {field.name for field, _ in message.server.ListFields()} == {"shared", "adversary"}
    known = {field.name for field, _ in message.adversaries[0].ListFields()}
    assert not known & {"width", "restart_every"}


def test_tensors_have_the_width_and_too_wide_ones_are_refused():
    plan = plans.make("fedncf", {**plans.GENDER, "width": 7}, plans.AGE)
    bundle = build("fedncf", ["a", "b"], plan, 0, training=False, serving=False)
    shapes = {spec.name: list(spec.shape) for spec in bundle.manifest.tensors}
    assert [shapes[f"adversary.{name}.hidden.bias"] for name in ("gender", "age")] == [[7], [100]]
    with pytest.raises(PlanError, match=r"adversaries\[0\].width"):
        plans.make("fedncf", {**plans.GENDER, "width": 4097})


def test_devices_that_do_not_know_passes_refuse_the_task(monkeypatch):
    plan = plans.make("fedncf", plans.GENDER, server__passes=2)
    data = build("fedncf", ["a", "b"], plan, 0, training=False, serving=False).manifest.SerializeToString()
    assert manifests.parse(data).required_features == ["passes"]
    monkeypatch.setattr(manifests, "FEATURES", manifests.FEATURES - {"passes"})
    with pytest.raises(MissingFeatureError, match="passes"):
        manifests.parse(data)


def test_an_audit_refuses_passes():
    made = plans.make("fedncf", plans.GENDER, server__passes=2)
    task = build("fedncf", ["a", "b"], made, 0, training=False, serving=False).manifest
    with pytest.raises(ConfigError, match=r"server\.passes"):
        plan(None, task, None, None, None)
