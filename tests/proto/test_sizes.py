"""Bounds on the sizes of a task's blobs: above what can be needed, and refused beyond."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE, TENSOR_SCOPE_SHARED, TensorSpec
from fedau2.wire import blobs, manifest, sizes
from fedau2.wire.errors import ManifestError
from tests.proto.test_manifest import GOOD

names = st.text(min_size=1, max_size=128).filter(lambda name: 0 < len(name.encode()) <= 128)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@given(st.dictionaries(names, shapes, max_size=5))
def test_every_checkpoint_is_within_its_bound(tensors):
    data = blobs.pack({name: np.zeros(shape, np.float32) for name, shape in tensors.items()})
    assert len(data) <= sizes.checkpoint(TensorSpec(name=name, shape=shape) for name, shape in tensors.items())


@pytest.mark.parametrize("name", ["catalogue", "checkpoint"])
@pytest.mark.parametrize("beyond", [0, 1, 2**40])
def test_a_blob_beyond_what_the_manifest_can_need_is_refused(name, beyond):
    most = sizes.ITEM * GOOD.items if name == "catalogue" else sizes.checkpoint(manifest.shared(GOOD).values())
    task = copy.deepcopy(GOOD)
    getattr(task, name).size = most + beyond
    if not beyond:
        manifest.check(task)
        return
    with pytest.raises(ManifestError, match=f"the {name} has {most + beyond} bytes, and at most {most}"):
        manifest.check(task)


def test_private_tensors_need_no_room_in_a_checkpoint():
    task = copy.deepcopy(GOOD)
    task.checkpoint.size = sizes.checkpoint(manifest.shared(GOOD).values())
    task.tensors[1].shape[:] = [1000]
    task.checkpoint.size += 1
    assert task.tensors[1].scope == TENSOR_SCOPE_PRIVATE
    with pytest.raises(ManifestError, match="checkpoint"):
        manifest.check(task)
    task.tensors[1].scope = TENSOR_SCOPE_SHARED
    sizes.check(task)


def test_a_manifest_that_is_too_long_is_not_read():
    task = TaskManifest(model="m" * sizes.MANIFEST)
    with pytest.raises(ManifestError, match=f"at most {sizes.MANIFEST} can be needed"):
        manifest.read(task.SerializeToString())
