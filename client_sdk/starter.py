"""A bundle that an app brings along, so that it recommends before the first sync."""

from pathlib import Path

from client_sdk.errors import UsageError
from client_sdk.sqlite_store import SqliteStore
from client_sdk.state import Model
from fedau2.wire import blobs, bundles, manifest
from fedau2.wire.errors import WireError

TASK = "starter"
"""Stands for the task until the first sync names one."""


def adopt(store: SqliteStore, folder: Path) -> None:
    """Makes a bundle's model the current one, where there is none yet.

    Raises:
        UsageError: the folder is no whole bundle of this version.
        UnsupportedTaskError: its catalogue cannot be used.
    """
    if store.model() is not None:
        return
    try:
        task = bundles.read_manifest(folder)
        parts = [bundles.read_blob(folder, each) for each in manifest.blobs(task)]
    except (OSError, WireError) as error:
        raise UsageError(f"starter: {folder} is no whole bundle of fedau2-export: {error}") from error
    data = task.SerializeToString(deterministic=True)
    for part in (data, *parts):
        store.keep_blob(blobs.resource(part), part)
    store.adopt(Model(TASK, 0, blobs.resource(data), task.checkpoint))
