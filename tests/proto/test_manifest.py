import copy
import math

import pytest

from fedau2.v1.task_pb2 import (
    Adversary,
    LocalUpdate,
    Optimizer,
    Plan,
    Resource,
    ServerStep,
    TaskManifest,
)
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_STATISTIC, Initializer, TensorSpec
from fedau2.wire import manifest, plans
from fedau2.wire.errors import ManifestError

ADAM = Optimizer(kind=2, learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=1e-8)
NORMAL = Initializer(distribution=2, scale=0.01)
GOOD = TaskManifest(
    format=2,
    model="fedncf",
    items=5,
    tensors=[
        TensorSpec(name="table", shape=[5, 3], dtype=1, kind=2, scope=1, initializer=NORMAL),
        TensorSpec(name="user", shape=[3], dtype=1, kind=1, scope=3, initializer=NORMAL),
    ],
    plan=Plan(
        local=LocalUpdate(steps=1, negatives=4, chunk=128, private_learning_rate=0.1),
        adversaries=[
            Adversary(
                name="gender", attribute="gender", classes=["M", "F"], protects=["user"], head=3, trigger=4, variance=4
            )
        ],
        server=ServerStep(shared=ADAM, adversary=ADAM),
    ),
    catalogue=Resource(sha256=bytes(32), size=1),
    checkpoint=Resource(sha256=bytes(32), size=1),
)


def test_a_good_manifest_is_accepted_and_read_back():
    assert manifest.parse(GOOD.SerializeToString()) == GOOD
    assert list(manifest.shared(GOOD)) == ["table"]
    assert [spec.name for spec in manifest.private(GOOD)] == ["user"]


def test_a_graph_of_a_later_kind_is_not_among_those_that_are_known():
    later = copy.deepcopy(GOOD)
    for kind in (2, 9):
        later.graphs.add(kind=kind, resource=Resource(sha256=bytes(32), size=1))
    assert manifest.known_graphs(manifest.parse(later.SerializeToString())) == [later.graphs[0]]
    assert [manifest.graph_kind(each) for each in later.graphs] == ["recommend", "kind 9"]


SPOILED = {
    "format": 1,
    "model": "",
    "items": 6,
    "catalogue.size": 0,
    "checkpoint.sha256": b"short",
    "tensors.0.name": "user",
    "tensors.0.dtype": 9,
    "tensors.0.kind": 0,
    "tensors.1.scope": 0,
    "tensors.1.initializer.scale": math.nan,
    "tensors.1.initializer.distribution": 0,
    "plan.local.steps": 0,
    "plan.local.negatives": 0,
    "plan.local.chunk": 0,
    "plan.local.private_learning_rate": -1.0,
    "plan.local.cover_rows": -1.0,
    "plan.server.shared.kind": 0,
    "plan.server.shared.beta1": 1.0,
    "plan.server.adversary.learning_rate": math.inf,
    "plan.adversaries.0.name": "a.b",
    "plan.adversaries.0.attribute": "",
    "plan.adversaries.0.head": 0,
    "plan.adversaries.0.trigger": 0,
    "plan.adversaries.0.variance": 0.0,
    "plan.adversaries.0.epsilon": -1.0,
    "plan.adversaries.0.clip_norm": math.inf,
    "plan.adversaries.0.noise_multiplier": 1.0,  # without a clip norm
}


@pytest.mark.parametrize("path", SPOILED)
def test_a_spoiled_field_is_refused(path):
    spoiled = copy.deepcopy(GOOD)
    *parents, field = path.split(".")
    target = spoiled
    for parent in parents:
        target = target[int(parent)] if parent.isdigit() else getattr(target, parent)
    setattr(target, field, SPOILED[path])
    with pytest.raises(ManifestError):
        manifest.check(spoiled)


@pytest.mark.parametrize(
    ("field", "values"),
    [("classes", ["M"]), ("classes", ["M", "M"]), ("protects", []), ("protects", ["table"]), ("class_weights", [1.0])],
)
def test_a_spoiled_adversary_is_refused(field, values):
    spoiled = copy.deepcopy(GOOD)
    adversary = spoiled.plan.adversaries[0]
    del getattr(adversary, field)[:]
    getattr(adversary, field).extend(values)
    with pytest.raises(ManifestError):
        manifest.check(spoiled)


def test_a_derived_state_can_be_protected():
    derived = copy.deepcopy(GOOD)
    derived.plan.adversaries[0].protects[:] = ["user", "sum"]
    with pytest.raises(ManifestError, match="sum"):
        manifest.check(derived)
    derived.derived_states.append("sum")
    manifest.check(derived)


@pytest.mark.parametrize("names", [["user"], ["table"], ["sum", "sum"], [""]])
def test_a_derived_state_has_a_name_of_its_own(names):
    spoiled = copy.deepcopy(GOOD)
    spoiled.derived_states.extend(names)
    with pytest.raises(ManifestError, match="derived state"):
        manifest.check(spoiled)


def test_a_statistic_that_belongs_to_no_matching_is_refused():
    spoiled = copy.deepcopy(GOOD)
    spoiled.tensors.add(
        name="mean", shape=[3], dtype=1, kind=1, scope=TENSOR_SCOPE_STATISTIC, initializer=Initializer(distribution=1)
    )
    with pytest.raises(ManifestError, match="belong to no matching"):
        manifest.check(spoiled)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"mu": math.nan}, "parameter 'mu' must be a finite number, not nan"),
        ({"mu": -math.inf}, "parameter 'mu' must be a finite number, not -inf"),
        ({"": 1.0}, "a parameter's name is empty"),
        ({"ü" * 65: 1.0}, "longer than 128 bytes"),
        ({str(number): 1.0 for number in range(65)}, "more than 64 parameters"),
    ],
)
def test_parameters_that_no_recommender_could_have_are_refused(parameters, message):
    spoiled = copy.deepcopy(GOOD)
    spoiled.plan.parameters.update(parameters)
    with pytest.raises(ManifestError, match=message):
        manifest.check(spoiled)


def test_the_most_parameters_with_the_longest_names_are_accepted():
    many = copy.deepcopy(GOOD)
    many.plan.parameters.update({f"{number:0128}": -1e300 for number in range(64)})
    manifest.check(many)


def test_a_round_has_not_more_local_steps_than_devices_would_finish():
    long = copy.deepcopy(GOOD)
    long.plan.local.shared_learning_rate = 0.1
    long.plan.local.steps = plans.MAX_STEPS
    manifest.check(long)
    long.plan.local.steps += 1
    with pytest.raises(ManifestError, match=r"local.steps must lie in \[1, 1000\]"):
        manifest.check(long)


@pytest.mark.parametrize("name", ["clip_norm", "clip_medians"])
@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_a_clip_norm_that_is_no_length_is_refused(name, value):
    spoiled = copy.deepcopy(GOOD)
    setattr(spoiled.plan.server, name, value)
    with pytest.raises(ManifestError, match=name):
        manifest.check(spoiled)


def test_running_medians_need_a_clip_norm():
    task = copy.deepcopy(GOOD)
    task.plan.server.clip_medians = 4.0
    with pytest.raises(ManifestError, match=r"clip_medians needs a positive server.clip_norm"):
        manifest.check(task)
    task.plan.server.clip_norm = 80.0
    manifest.check(task)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "format 0 is older than format 2.*: build the bundle again"),
        (1, "format 1 is older than format 2.*: build the bundle again"),
        (3, "format 3 is newer than format 2.*: update fedau2"),
    ],
)
def test_another_format_says_what_to_do(number, text):
    other = copy.deepcopy(GOOD)
    other.format = number
    for refuse in (manifest.check, lambda spoiled: manifest.read(spoiled.SerializeToString())):
        with pytest.raises(ManifestError, match=text):
            refuse(other)


def test_both_ends_accept_features_that_they_do_not_know():
    later = copy.deepcopy(GOOD)
    later.required_features.extend(["later-sums", "grid.2", "x", "a" * 64])
    assert manifest.parse(later.SerializeToString()) == later


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([""], "malformed: ''"),
        (["Secure"], "malformed: 'Secure'"),
        (["-grid"], "malformed"),
        (["grid\n"], "malformed"),
        (["a" * 65], "malformed"),
        (["grid", "secure", "grid"], "twice"),
        ([f"feature-{number}" for number in range(65)], "more than 64 features"),
    ],
)
def test_a_malformed_list_of_features_is_refused(names, text):
    spoiled = copy.deepcopy(GOOD)
    spoiled.required_features.extend(names)
    for refuse in (manifest.check, lambda other: manifest.read(other.SerializeToString())):
        with pytest.raises(ManifestError, match=text):
            refuse(spoiled)


def test_a_manifest_is_read_before_its_other_fields_are_checked():
    later = copy.deepcopy(GOOD)
    later.draw = 99
    assert manifest.read(later.SerializeToString()) == later
    with pytest.raises(ManifestError, match="way to draw"):
        manifest.check(later)


def test_the_signature_is_the_last_field():
    assert TaskManifest.DESCRIPTOR.fields[-1].name == "signature"
    assert max(field.number for field in TaskManifest.DESCRIPTOR.fields) == 1000


def test_noise_is_no_manifest():
    with pytest.raises(ManifestError):
        manifest.parse(b"\xff\xff\xff")
