import asyncio

import numpy as np

from fedau2.v1 import admin_pb2
from fedau2.v1.device_pb2 import REJECTION_REASON_NO_TASK
from fedau2.v1.secure_pb2 import Grid, SecureSums
from fedau2.v1.task_pb2 import Release
from fedau2.v1.tensors_pb2 import DISTRIBUTION_ZEROS, TENSOR_SCOPE_STATISTIC, Initializer
from fedau2.wire import blobs
from fedau2.wire.manifest import shared
from fedau2.wire.status import Status, StatusError
from tests.coordinator.refusals import refused, undisturbed


def swap(bundle, old, new):
    """Puts other bytes in the place of a blob, with a manifest that says so."""
    for resource in (bundle.manifest.catalogue, bundle.manifest.checkpoint):
        if resource == blobs.resource(old):
            resource.CopyFrom(blobs.resource(new))
    bundle.blobs = {
        blobs.sha256(new) if data == old else sha256: new if data == old else data
        for sha256, data in bundle.blobs.items()
    }


def with_checkpoint(edit):
    def spoil(bundle):
        data = bundle.blobs[bundle.manifest.checkpoint.sha256]
        tensors = {name: tensor.copy() for name, tensor in blobs.unpack(data).items()}
        edit(tensors)
        swap(bundle, data, blobs.pack(tensors))

    return spoil


def another_version(bundle):
    bundle.manifest.format = 1


def features_twice(bundle):
    bundle.manifest.required_features.extend(["grid", "grid"])


def unknown_feature(bundle):
    bundle.manifest.required_features.append("time-travel")


def hidden_contributions(bundle):
    manifest = bundle.manifest
    manifest.required_features.append("secure-sums")
    grids = [Grid(tensor=name, clip=1) for name in sorted(shared(manifest))]
    manifest.secure_sums.CopyFrom(
        SecureSums(version=1, modulus_bits=24, value_bits=14, minimum=64, row_threshold=10, grids=grids)
    )


def with_statistics(bundle, **shapes):
    """Adds statistics of a matching `m`, by the last part of their names."""
    named = {f"matching.m.{name}": shape for name, shape in shapes.items()}
    zeros = Initializer(distribution=DISTRIBUTION_ZEROS)
    for name, shape in named.items():
        bundle.manifest.tensors.add(
            name=name, shape=shape, dtype=1, kind=1, scope=TENSOR_SCOPE_STATISTIC, initializer=zeros
        )
    with_checkpoint(lambda tensors: tensors.update({n: np.zeros(s, np.float32) for n, s in named.items()}))(bundle)


def statistic_of_no_matching(bundle):
    with_statistics(bundle, means=[3, 13])


def statistic_of_another_shape(bundle):
    """No step of the server could use it."""
    with_statistics(bundle, means=[5], moments=[5, 5], scale=[2])
    bundle.manifest.required_features.append("matching")
    numbers = {"frequencies": 4, "bandwidth": 1, "weight": 1, "rate": 0.1, "minimum": 1, "ridge": 0.1}
    bundle.manifest.plan.matchings.add(name="m", attribute="age", classes=["a", "b"], protects=["user"], **numbers)


def damaged_blob(bundle):
    sha256 = bundle.manifest.checkpoint.sha256
    bundle.blobs[sha256] = bundle.blobs[sha256][:-1] + b"\x01"


def missing_blob(bundle):
    del bundle.blobs[bundle.manifest.catalogue.sha256]


def foreign_blob(bundle):
    bundle.blobs[blobs.sha256(b"foreign")] = b"foreign"


def longer_blob(bundle):
    bundle.blobs[bundle.manifest.catalogue.sha256] += b"\nmore"


def short_catalogue(bundle):
    swap(bundle, bundle.blobs[bundle.manifest.catalogue.sha256], b"one\ntwo")


def repeated_item(bundle):
    swap(bundle, bundle.blobs[bundle.manifest.catalogue.sha256], b"a\na\nb\nc\nd\ne")


def unreadable_checkpoint(bundle):
    swap(bundle, bundle.blobs[bundle.manifest.checkpoint.sha256], b"no safetensors")


def impossible_rule(bundle):
    bundle.closing.minimum = bundle.closing.goal + 1


def no_rounds(bundle):
    bundle.rounds = 0


def nameless(bundle):
    bundle.population = ""


def release(bundle, population, **fields):
    bundle.manifest.release.MergeFrom(Release(population=population, sequence=1, issued=1, **fields))


def unprintable(bundle):
    bundle.population = "movies\x1b[2J"


BUNDLES = {
    "another version": (another_version, "bundle format 1 is older than format 2"),
    "features twice": (features_twice, "requires a feature twice"),
    "unknown feature": (unknown_feature, r"does not have \(time-travel\): update the coordinator"),
    "hidden contributions": (hidden_contributions, "secure sums and was refused: this coordinator has no unmasker"),
    "statistic of no matching": (statistic_of_no_matching, "belong to no matching"),
    "statistic of another shape": (statistic_of_another_shape, r"matching.m.means: shape \[5\]"),
    "damaged blob": (damaged_blob, "damaged"),
    "missing blob": (missing_blob, "is missing"),
    "foreign blob": (foreign_blob, "names no blob"),
    "longer blob": (longer_blob, "more bytes than the declared"),
    "short catalogue": (short_catalogue, "2 items; the manifest says 6"),
    "repeated item": (repeated_item, "twice"),
    "unreadable checkpoint": (unreadable_checkpoint, "safetensors"),
    "checkpoint without a tensor": (with_checkpoint(lambda tensors: tensors.pop("items")), "disagree .*items"),
    "checkpoint with a private tensor": (
        with_checkpoint(lambda tensors: tensors.update(user=np.zeros(4, np.float32))),
        "disagree .*user",
    ),
    "checkpoint of another shape": (
        with_checkpoint(lambda tensors: tensors.update(tower=np.zeros((2, 3), np.float32))),
        "tower: the checkpoint has float32",
    ),
    "checkpoint of another dtype": (
        with_checkpoint(lambda tensors: tensors.update(tower=np.zeros((3, 2)))),
        "tower: the checkpoint has float64",
    ),
    "checkpoint that is not finite": (
        with_checkpoint(lambda tensors: tensors["tower"].fill(np.nan)),
        "tower: .*not finite",
    ),
    "impossible closing rule": (impossible_rule, "minimum <= goal"),
    "no rounds": (no_rounds, "at least one round"),
    "no population": (nameless, "128 bytes"),
    "population that cannot be printed": (unprintable, "printable characters"),
    "another population's release": (lambda bundle: release(bundle, "films"), "signed for the population 'films'"),
    "a release that is over": (lambda bundle: release(bundle, "books", expires=2), "is over"),
}


def test_a_bundle_that_cannot_be_run_is_refused(tools, tmp_path, transport):
    async def main():
        async with undisturbed(tools, tmp_path / "lab", transport) as lab:
            for spoil, match in BUNDLES.values():
                bundle = tools.make_bundle(population="books")
                spoil(bundle)
                await refused(lab.create(bundle), Status.INVALID_ARGUMENT, match)
                await lab.unchanged()
                rejection = (await lab.check_in("books")).rejection
                assert rejection.reason == REJECTION_REASON_NO_TASK

    asyncio.run(main())


def test_a_population_has_one_running_task(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            await lab.create()
            await refused(lab.create(), Status.ALREADY_EXISTS, "'movies' has a running task")
            both = [tools.make_bundle(population="books") for _ in range(2)]
            results = await asyncio.gather(*(lab.create(bundle) for bundle in both), return_exceptions=True)
            assert sum(isinstance(result, StatusError) for result in results) == 1
            listed = await lab.link.list_tasks(admin_pb2.ListTasksRequest())
            assert sorted(task.population for task in listed.tasks) == ["books", "movies"]

    asyncio.run(main())
