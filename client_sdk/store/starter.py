"""Adopts the bundle that an app brings along, so that it recommends before the first sync."""

import logging
from pathlib import Path

from client_sdk.errors import MissingFeatureError, UnsupportedTaskError, UsageError
from client_sdk.protocol import manifests
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Model
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1.task_pb2 import Resource
from fedau2.wire import blobs, bundles, manifest
from fedau2.wire.errors import BlobError

_log = logging.getLogger(__name__)
TASK = "starter"
"""Stands for the task until the first sync names one."""


def adopt(store: SqliteStore, folder: Path, trust: Trust) -> None:
    """Makes a bundle's model the current one, if the store has no model yet.

    If blobs of the bundle are damaged, the others are kept. There is no model then until the next sync, which fetches
    the missing ones.

    Raises:
        UsageError: the folder is not a bundle of this version.
        UntrustedTaskError: the bundle is not signed as it should be.
        UnsupportedTaskError: its catalogue cannot be used, or it requires a feature that this SDK does not have.
    """
    if store.model() is not None:
        return
    try:
        # Not serialised again, because the signature is over these bytes.
        data = (folder / bundles.MANIFEST).read_bytes()
        task = manifests.parse(data)
    except MissingFeatureError:
        raise
    except (OSError, UnsupportedTaskError) as error:
        raise UsageError(f"starter: {folder} is not a bundle of fedau2-export: {error}") from error
    trust.check(data)
    store.keep_blob(blobs.resource(data), data)
    complete = [_keep(store, folder, resource) for resource in manifest.blobs(task)]
    if all(complete):
        store.adopt(Model(TASK, 0, blobs.resource(data), task.checkpoint))


def _keep(store: SqliteStore, folder: Path, resource: Resource) -> bool:
    """Copies a blob from the folder, and returns True if the store then has it."""
    if store.blob(resource) is not None:
        return True
    try:
        data = bundles.read_blob(folder, resource)
    except (OSError, BlobError) as error:
        _log.warning("the starter is damaged, and the next sync fetches the missing blob: %s", error)
        return False
    store.keep_blob(resource, data)
    return True
