"""What a plan may say of matchings, and who may see their statistics."""

import pytest

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.task_pb2 import Adversary, LocalUpdate, Matching, Plan, TaskManifest
from fedau2.v1.tensors_pb2 import (
    DISTRIBUTION_ZEROS,
    DTYPE_FLOAT32,
    TENSOR_KIND_DENSE,
    TENSOR_KIND_TABLE,
    TENSOR_SCOPE_PRIVATE,
    TENSOR_SCOPE_SHARED,
    TENSOR_SCOPE_STATISTIC,
    Initializer,
    TensorSpec,
)
from fedau2.wire import matchings
from fedau2.wire.errors import ManifestError

GOOD = {
    "name": "m", "attribute": "gender", "classes": ["M", "F"], "protects": ["latent"], "frequencies": 8,
    "bandwidth": 1.0, "ridge": 0.1, "weight": 1.0, "rate": 0.1, "minimum": 10,
}  # fmt: skip


def plan(*matchings, steps=1, **changes):
    return Plan(local=LocalUpdate(steps=steps), matchings=matchings or [Matching(**{**GOOD, **changes})])


def test_a_good_matching_passes():
    matchings.check(plan(), {"latent"})


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""}, {"name": "a.b"},
        {"attribute": ""}, {"classes": ["M"]}, {"classes": ["M", "M"]}, {"protects": []}, {"protects": ["other"]},
        {"protects": ["latent", "latent"]},
        {"frequencies": 0}, {"frequencies": 4097}, {"bandwidth": 0}, {"bandwidth": float("nan")},
        {"ridge": 0}, {"weight": -1}, {"weight": float("inf")},
        {"rate": 0}, {"rate": 1.5}, {"minimum": 0}, {"steps": 2},
    ],
)  # fmt: skip
def test_a_bad_one_is_refused(change):
    with pytest.raises(ManifestError):
        matchings.check(plan(**change), {"latent"})


def test_names_are_unique_among_adversaries_and_matchings():
    twice = plan()
    twice.adversaries.append(Adversary(name="m"))
    with pytest.raises(ManifestError, match="same name"):
        matchings.check(twice, {"latent"})


def test_a_task_requires_the_feature():
    with pytest.raises(ManifestError, match="does not require 'matching'"):
        matchings.check_required(TaskManifest(plan=plan()))
    matchings.check_required(TaskManifest(plan=plan(), required_features=[matchings.FEATURE]))
    matchings.check_required(TaskManifest())


def test_a_device_contributes_statistics_to_secure_sums_alone():
    with pytest.raises(ManifestError, match="secure sums"):
        matchings.check_hidden(TaskManifest(plan=plan()))
    matchings.check_hidden(TaskManifest(plan=plan(), secure_sums=SecureSums()))
    matchings.check_hidden(TaskManifest())


def tensor(name, *shape, scope=TENSOR_SCOPE_STATISTIC, kind=TENSOR_KIND_DENSE, **fields):
    zeros = Initializer(distribution=DISTRIBUTION_ZEROS)
    return TensorSpec(name=name, shape=shape, dtype=DTYPE_FLOAT32, kind=kind, scope=scope, initializer=zeros, **fields)


MEANS, MOMENTS = tensor("matching.m.means", 3, 1 + 6 + 16), tensor("matching.m.moments", 7, 7)
SCALE = tensor("matching.m.scale", 2)
LATENT, OTHER = (tensor(name, 6, scope=TENSOR_SCOPE_PRIVATE) for name in ("latent", "other"))


def declared(*specs, protects=("latent",), derived=()):
    return TaskManifest(
        plan=plan(protects=protects), tensors=specs, derived_states=derived, required_features=[matchings.FEATURE]
    )


def test_a_matching_has_its_three_tensors():
    matchings.check_tensors(declared(LATENT, MEANS, MOMENTS, SCALE))
    matchings.check_tensors(declared(MEANS, MOMENTS, SCALE, derived=["latent"]))
    matchings.check_tensors(TaskManifest())


@pytest.mark.parametrize(
    ("specs", "match"),
    [
        ([MEANS], "lacks the tensor matching.m.moments"),
        ([MOMENTS], "lacks the tensor matching.m.means"),
        ([MEANS, MOMENTS, tensor("matching.m.scale", 3)], "shape"),
        ([MEANS, MOMENTS, tensor("mean", 3)], "'mean'. belong to no matching"),
        ([tensor("matching.m.means", 5), MOMENTS], "shape"),
        ([tensor("matching.m.means", 3, 6 + 16), MOMENTS], "shape"),
        ([tensor("matching.m.means", 2, 1 + 6 + 16), MOMENTS], "shape"),
        ([MEANS, tensor("matching.m.moments", 7)], "shape"),
        ([MEANS, tensor("matching.m.moments", 7, 6)], "shape"),
        ([tensor("matching.m.means", 3, 17), tensor("matching.m.moments", 1, 1)], "1 to 1,024"),
        ([tensor("matching.m.means", 3, 1042), tensor("matching.m.moments", 1026, 1026)], "1 to 1,024"),
        ([tensor("matching.m.means", 3, 22), tensor("matching.m.moments", 6, 6)], "5 numbers instead of 6"),
        ([tensor("matching.m.means", 3, 23, scope=TENSOR_SCOPE_SHARED), MOMENTS], "dense statistic"),
        ([tensor("matching.m.means", 3, 23, kind=TENSOR_KIND_TABLE), MOMENTS], "dense statistic"),
        ([MEANS, tensor("matching.m.moments", 7, 7, item_axis=1)], "dense statistic"),
    ],
)
def test_other_tensors_are_refused(specs, match):
    scale = [] if any(spec.name == SCALE.name for spec in specs) else [SCALE]
    with pytest.raises(ManifestError, match=match):
        matchings.check_tensors(declared(LATENT, *specs, *scale))


def test_the_scale_is_needed_too():
    with pytest.raises(ManifestError, match=r"lacks the tensor matching\.m\.scale"):
        matchings.check_tensors(declared(LATENT, MEANS, MOMENTS))


def test_private_and_derived_states_are_not_matched_together():
    wide = tensor("matching.m.means", 3, 1 + 12 + 16), tensor("matching.m.moments", 13, 13), SCALE
    matchings.check_tensors(declared(LATENT, OTHER, *wide, protects=["latent", "other"]))
    with pytest.raises(ManifestError, match="only one of the two kinds"):
        matchings.check_tensors(declared(LATENT, *wide, protects=["latent", "sum"], derived=["sum"]))
    second = (tensor("matching.n.means", 3, 23), tensor("matching.n.moments", 7, 7), tensor("matching.n.scale", 2))
    two = declared(LATENT, MEANS, MOMENTS, SCALE, *second)
    two.plan.matchings.append(Matching(**{**GOOD, "name": "n", "protects": ["sum"]}))
    with pytest.raises(ManifestError, match="only one of the two kinds"):
        matchings.check_tensors(two)
