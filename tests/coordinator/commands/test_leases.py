"""The default lease is long enough for what the bundle makes a device send and receive."""

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.commands.leases import SLOWEST, deadline, lease
from fedau2.wire import contributions, manifest


@settings(deadline=None)
@given(checkpoint=st.integers(0, 10**9), rows=st.integers(1, 10**6))
def test_the_slowest_link_keeps_the_lease(tools, checkpoint, rows):
    task = tools.make_bundle().manifest
    task.checkpoint.size = checkpoint
    next(spec for spec in task.tensors if spec.name == "tower").shape[:] = [rows, 2]
    both = checkpoint + contributions.largest(manifest.shared(task).values())
    assert lease(task) * SLOWEST > both
    assert 300 <= lease(task) <= max(300, 100 + 1.3 * both / SLOWEST)
    assert deadline(lease(task)) >= 2 * lease(task)


def test_a_model_of_13_megabytes_takes_part_at_32_kilobytes_a_second(tools):
    task = tools.make_bundle().manifest
    task.checkpoint.size = 13_000_000
    assert 13_000_000 / SLOWEST + 60 < lease(task) < 900
