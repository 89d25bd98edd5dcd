"""Creates the task of a fleet: the closing rule of its rounds, and the requests that send the bundle."""

from collections.abc import Iterator

from google.protobuf.duration_pb2 import Duration

from export.bundle import Bundle
from fedau2.v1 import admin_pb2
from fedau2.v1.task_pb2 import ClosingRule
from fedau2.wire import blobs

POPULATION = "simulation"


def closing(goal: int, devices: int) -> ClosingRule:
    """Returns the rule of rounds that close with as many contributions as `goal`, and never by time.

    Args:
        goal: contributions of a round.
        devices: most that take part at the same time. There are as many places more, for devices that lost the answer
            to their check-ins.
    """
    return ClosingRule(
        goal=goal,
        minimum=goal,
        maximum=goal,
        over_selection=2 * devices / goal - 1,
        deadline=Duration(seconds=86400),
        lease=Duration(seconds=3600),
    )


def requests(bundle: Bundle, rule: ClosingRule, rounds: int) -> Iterator[admin_pb2.CreateTaskRequest]:
    """Yields the requests that create a task."""
    manifest = bundle.manifest.SerializeToString(deterministic=True)
    header = admin_pb2.CreateTaskHeader(population=POPULATION, manifest=manifest, rounds=rounds, closing=rule)
    yield admin_pb2.CreateTaskRequest(header=header)
    for data in bundle.blobs.values():
        for chunk in blobs.chunks(data):
            yield admin_pb2.CreateTaskRequest(blob=admin_pb2.BlobPart(sha256=blobs.sha256(data), data=chunk))
