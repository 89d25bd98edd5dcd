"""Decides whether a device that has no place in a round fetches the newest model all the same."""

from math import inf

from client_sdk.errors import UnsupportedTaskError
from client_sdk.protocol import fetching, manifests
from client_sdk.protocol.values import Model
from client_sdk.store.sqlite_store import SqliteStore
from client_sdk.store.starter import TASK as STARTER


def wanted(store: SqliteStore, newest: Model, age: float, oldest: float, unfit: bool) -> bool:
    """Returns True if the store is to fetch a model.

    A store without a whole model is to, and one with the app's starter. Any other is to once its model is old enough,
    because a model costs as many bytes as a checkpoint has.

    Args:
        store: the client's state.
        newest: the newest model, as the coordinator names it.
        age: seconds since the store's model was fetched or found to be the newest; negative if the clock was set back.
        oldest: seconds after which a model is replaced by a newer one; infinity: never.
        unfit: the client cannot train by its own model. By another task's catalogue and classes it may be able to.
    """
    model = store.model()
    if model is None or model.task_id == STARTER:
        return True
    if unfit and model.manifest != newest.manifest:
        return True
    if model != newest and oldest < inf and not 0 <= age < oldest:
        return True
    return not _whole(store, model)


def _whole(store: SqliteStore, model: Model) -> bool:
    data = store.blob(model.manifest)
    try:
        parts = [] if data is None else fetching.parts(model, manifests.parse(data))
    except UnsupportedTaskError:
        return False
    return bool(parts) and all(store.blob(part) is not None for part in parts)
