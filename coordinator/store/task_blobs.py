"""The blobs that tasks keep: which ones, in which of two folders, and when one is no longer needed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import BlobLostError
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.task_rows import KeptModel, TaskRow
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.manifest import graph_kind


@dataclass(frozen=True)
class KeptBlob:
    """A blob that a task keeps.

    Attributes:
        use: its use for the task, in words.
        sha256: its address.
        served: devices may fetch it; if not, it lies in the folder of server states.
        vital: a running task cannot go on without it.
    """

    use: str
    sha256: bytes
    served: bool = True
    vital: bool = True


def kept_blobs(row: TaskRow, manifest: TaskManifest) -> list[KeptBlob]:
    """Lists the blobs of a task: those of its bundle, of its newest model, and of the models that it can go back to."""
    graphs = [KeptBlob(f"graph {graph_kind(graph)}", graph.resource.sha256) for graph in manifest.graphs]
    return [
        KeptBlob("manifest", row.manifest),
        KeptBlob("catalogue", manifest.catalogue.sha256),
        *graphs,
        KeptBlob("checkpoint", row.checkpoint),
        *([KeptBlob("encoded checkpoint", row.encoded)] if row.encoded else []),
        KeptBlob("server state", row.server_state, served=False),
        KeptBlob("first checkpoint", manifest.checkpoint.sha256, vital=False),
        *([KeptBlob("sum of masks", row.opening.masks, served=False)] if row.opening else []),
        *(blob for model in row.kept for blob in model_blobs(model)),
    ]


def model_blobs(model: KeptModel) -> list[KeptBlob]:
    """Lists the blobs of a model that a task can be put back to."""
    after = f"after {model.round} rounds"
    encoded = [KeptBlob(f"encoded checkpoint {after}", model.encoded, vital=False)] if model.encoded else []
    return [
        KeptBlob(f"checkpoint {after}", model.checkpoint, vital=False),
        *encoded,
        KeptBlob(f"server state {after}", model.server_state, served=False, vital=False),
    ]


class TaskBlobs:
    """The blobs of all tasks.

    Args:
        served: the folder of blobs that devices may fetch.
        private: the folder of server states, which are never served.
    """

    def __init__(self, served: BlobFolder, private: BlobFolder) -> None:
        self.served = served
        self.private = private
        self._manifests: dict[bytes, TaskManifest] = {}

    def manifest(self, row: TaskRow) -> TaskManifest:
        """Reads a task's manifest, once.

        Raises:
            BlobLostError: the blob is missing or damaged.
        """
        if row.manifest not in self._manifests:
            with _explained(row, "manifest"):
                self._manifests[row.manifest] = TaskManifest.FromString(self.served.get(row.manifest))
        return self._manifests[row.manifest]

    def check(self, row: TaskRow) -> None:
        """Returns if every blob that the task cannot go on without is there and whole.

        Raises:
            BlobLostError: a blob is missing or damaged; the text says which.
        """
        for blob in kept_blobs(row, self.manifest(row)):
            if blob.vital:
                with _explained(row, blob.use):
                    (self.served if blob.served else self.private).check(blob.sha256)

    def check_kept(self, row: TaskRow, model: KeptModel) -> None:
        """Returns if a task can be put back to a model: its blobs are there and whole.

        Raises:
            BlobLostError: a blob is missing or damaged.
        """
        self.manifest(row)
        for blob in model_blobs(model):
            (self.served if blob.served else self.private).check(blob.sha256)

    def damaged(self, row: TaskRow) -> list[Path]:
        """Lists the files of blobs that a task keeps and can go on without, and that are damaged."""
        found = []
        for blob in kept_blobs(row, self.manifest(row)):
            folder = self.served if blob.served else self.private
            if not blob.vital and folder.path(blob.sha256).exists():
                try:
                    folder.check(blob.sha256)
                except BlobLostError:
                    found.append(folder.path(blob.sha256))
        return found

    def orphans(self, rows: Iterable[TaskRow]) -> list[Path]:
        """Lists the files of all blobs that none of these tasks keeps."""
        in_use = self._in_use(rows)
        return self.served.orphans(in_use[True]) + self.private.orphans(in_use[False])

    def drop_unused(self, old: TaskRow, rows: Iterable[TaskRow]) -> None:
        """Removes the blobs of a row that has been replaced, unless a task keeps them.

        Args:
            old: the row as it was.
            rows: all tasks as they are now.
        """
        in_use = self._in_use(rows)
        for blob in kept_blobs(old, self.manifest(old)):
            if blob.sha256 not in in_use[blob.served]:
                (self.served if blob.served else self.private).delete(blob.sha256)

    def _in_use(self, rows: Iterable[TaskRow]) -> dict[bool, set[bytes]]:
        """Hashes of all blobs in use, by `KeptBlob.served`."""
        in_use: dict[bool, set[bytes]] = {True: set(), False: set()}
        for row in rows:
            for blob in kept_blobs(row, self.manifest(row)):
                in_use[blob.served].add(blob.sha256)
        return in_use


@contextmanager
def _explained(row: TaskRow, use: str) -> Iterator[None]:
    try:
        yield
    except BlobLostError as error:
        raise BlobLostError(
            f"the {use} of task {row.task_id} is lost: {error}; put the file back from a copy of the state folder or, "
            "if it is part of the task's bundle, from there"
        ) from error
