"""Which blobs a task keeps, and what for."""

from dataclasses import dataclass

from coordinator.store.ledger import TaskRow
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.manifest import graph_kind


@dataclass(frozen=True)
class Kept:
    """A blob that a task keeps.

    Attributes:
        what: its use, in words.
        sha256: its address.
        served: devices may fetch it; if not, it lies in the folder of server states.
        vital: a running task cannot go on without it.
    """

    what: str
    sha256: bytes
    served: bool = True
    vital: bool = True


def kept(row: TaskRow, manifest: TaskManifest) -> list[Kept]:
    """All blobs of a task: of its bundle, and the two newest versions of what it trains."""
    graphs = [Kept(f"graph {graph_kind(graph)}", graph.resource.sha256) for graph in manifest.graphs]
    return [
        Kept("manifest", row.manifest),
        Kept("catalogue", manifest.catalogue.sha256),
        *graphs,
        Kept("checkpoint", row.checkpoint),
        Kept("server state", row.server_state, served=False),
        Kept("first checkpoint", manifest.checkpoint.sha256, vital=False),
        Kept("previous checkpoint", row.previous_checkpoint, vital=False),
        Kept("previous server state", row.previous_server_state, served=False, vital=False),
    ]
