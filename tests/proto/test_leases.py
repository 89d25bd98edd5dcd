"""The default lease is long enough for what the bundle makes a device send and receive."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fedau2.v1.task_pb2 import Resource, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE, TENSOR_SCOPE_SHARED, TensorSpec
from fedau2.wire import contributions, manifest
from fedau2.wire.leases import SLOWEST, deadline, lease


@settings(deadline=None)
@given(checkpoint=st.integers(0, 10**9), rows=st.integers(1, 10**6))
def test_the_slowest_link_keeps_the_lease(checkpoint, rows):
    table = TensorSpec(name="tower", shape=[rows, 2], kind=TENSOR_KIND_TABLE, scope=TENSOR_SCOPE_SHARED)
    task = TaskManifest(tensors=[table], items=rows, checkpoint=Resource(size=checkpoint))
    both = checkpoint + contributions.largest(manifest.shared(task).values())
    assert lease(task) * SLOWEST > both
    assert 300 <= lease(task) <= max(300, 100 + 1.3 * both / SLOWEST)
    assert deadline(lease(task)) >= 2 * lease(task)


def test_a_model_of_13_megabytes_takes_part_at_32_kilobytes_a_second():
    task = TaskManifest(checkpoint=Resource(size=13_000_000))
    assert 13_000_000 / SLOWEST + 60 < lease(task) < 900
