"""Fetches a model version: what the store lacks of it, in pieces that are kept, and checked before it is used."""

from collections import deque
from collections.abc import Callable, Generator
from functools import lru_cache, partial
from typing import Any

import numpy as np

from client_sdk.errors import DamagedTaskError, ResourceLimitError, TransportError, UnsupportedTaskError
from client_sdk.protocol import inspection, manifests, succession
from client_sdk.protocol.interfaces import Store
from client_sdk.protocol.lease import Lease
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Fetched, Model
from client_sdk.protocol.wishes import Fetch, Wish, ask
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP, Resource, TaskManifest
from fedau2.wire import blobs, encodings, manifest, sizes
from fedau2.wire.errors import BlobError, ManifestError

MOST = 2**31
"""Most bytes of a model version that a device fetches."""

_ROUNDS = 2**63  # SQLite's integers end here, as does the coordinator's count


def parts(model: Model, task: TaskManifest) -> list[Resource]:
    """Returns the blobs of a model besides its manifest. A newer bundle may bring graphs that are not among them."""
    graphs = [graph.resource for graph in manifest.known_graphs(task)]
    return [task.catalogue, *graphs, model.checkpoint]


class Fetcher:
    """Fetches one model version.

    Args:
        store: keeps what is fetched.
        model: the version.
        trust: checks whose tasks are run.
        lease: ends transfers that are too slow.
    """

    def __init__(self, store: Store, model: Model, trust: Trust, lease: Lease) -> None:
        self._store, self._model, self._trust, self._lease = store, model, trust, lease

    def manifest(self) -> Generator[Wish, Any, TaskManifest]:
        """Fetches the manifest.

        Raises:
            UntrustedTaskError: the task is not signed as it should be.
            ReleaseError: it was signed for other devices or another time, or a newer one has followed it.
            MissingFeatureError: it requires a feature that this SDK does not have.
            DamagedTaskError, UnsupportedTaskError: the manifest cannot be used.
        """
        if self._model.round >= _ROUNDS:
            raise UnsupportedTaskError(f"the coordinator states round {self._model.round}, which is not below 2**63")
        _expect_size("manifest", self._model.manifest, sizes.MANIFEST)
        return _parse((yield from self._blob(self._model.manifest, self._check_manifest)))

    def rest(self, task: TaskManifest) -> Generator[Wish, Any, Fetched]:
        """Fetches everything else, and makes the version the one that recommendations come from.

        Args:
            task: the model's manifest.

        Raises:
            DamagedTaskError, UnsupportedTaskError: the model cannot be used; the model before it stays.
            ResourceLimitError: it is larger than `MOST`; nothing else of it was fetched.
        """
        model, graphs = self._model, manifest.known_graphs(task)
        _expect_size("checkpoint", model.checkpoint, sizes.checkpoint(manifest.shared(task).values()))
        for graph in graphs:
            inspection.check_size(graph.resource.size, graph.kind)
        if sum(part.size for part in parts(model, task)) > MOST:
            raise ResourceLimitError(f"the task's model has more than {MOST} bytes, so it was not fetched")
        self._store.start(model, parts(model, task))
        yield from self._blob(task.catalogue)
        step = b""
        for graph in graphs:
            content = yield from self._blob(graph.resource, partial(inspection.inspected, kind=graph.kind))
            if graph.kind == GRAPH_KIND_STEP:
                step = content
        tensors = yield from self._blob(model.checkpoint)
        _expect_fit(task, model, tensors)
        carried = succession.carry(self._store, model, task)
        self._store.adopt(model, carried)
        return Fetched(tensors, step, carried)

    def _check_manifest(self, data: bytes) -> None:
        publisher = self._trust.check(data)
        self._trust.expect_release(_parse(data), publisher)

    def _blob(
        self, resource: Resource, check: Callable[[bytes], object] = lambda data: None
    ) -> Generator[Wish, Any, bytes]:
        """Returns a blob, fetched if the store lacks it. A blob that fails the check is not kept."""
        data = self._store.blob(resource)
        if data is not None:
            check(data)
            return data
        data = yield from self._fetch(resource)
        check(data)
        self._store.keep_blob(resource, data)
        return data

    def _fetch(self, resource: Resource) -> Generator[Wish, Any, bytes]:
        """Fetches a blob. It goes on while each attempt brings some bytes, and begins once more if they are wrong."""
        again = False
        while True:
            download = self._store.download(resource)
            before = download.size
            try:
                into = self._lease.watched(download, resource.size)
                return blobs.check((yield from ask(Fetch(resource, into, self._lease.left()), bytes)), resource)
            except BlobError as error:
                if again or not before:
                    raise DamagedTaskError(str(error)) from error
                again = True
            except TransportError:
                if download.size == before:
                    raise


_fitting: deque[tuple[bytes, bytes]] = deque(maxlen=4)
"""Manifests with checkpoints that fit them, as checked before; a fleet's sessions share them."""


def _expect_fit(task: TaskManifest, model: Model, data: bytes) -> None:
    """Checks a checkpoint before it replaces one that works."""
    pair = (model.manifest.sha256, model.checkpoint.sha256)
    if pair in _fitting:
        return
    try:
        tensors = encodings.decode(data)
    except BlobError as error:
        raise DamagedTaskError(str(error)) from error
    if {name: tensor.shape for name, tensor in tensors.items()} != {
        name: tuple(spec.shape) for name, spec in manifest.shared(task).items()
    }:
        raise UnsupportedTaskError("the checkpoint's tensors are not those of the manifest")
    if not all(tensor.dtype == np.float32 and np.isfinite(tensor).all() for tensor in tensors.values()):
        raise DamagedTaskError("the checkpoint has values that are not finite float32")
    _fitting.append(pair)


def _expect_size(name: str, resource: Resource, most: int) -> None:
    try:
        sizes.check_size(name, resource.size, most)
    except ManifestError as error:
        raise UnsupportedTaskError(str(error)) from error


@lru_cache(maxsize=4)  # a fleet's sessions share the manifest
def _parse(data: bytes) -> TaskManifest:
    return manifests.parse(data)
