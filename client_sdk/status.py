"""The state of a client at one moment: `FedClient.status`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from client_sdk.protocol.wishes import Result
from client_sdk.scheduling.pace import Pace
from client_sdk.scheduling.schedule import BackgroundStatus
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1.task_pb2 import TaskManifest


@dataclass(frozen=True)
class ModelVersion:
    """The model that recommendations come from.

    Attributes:
        task_id: the task that trains it.
        round: number of the round that starts from it, from 0. Rounds that were skipped count.
    """

    task_id: str
    round: int


@dataclass(frozen=True)
class LastSync:
    """The end of the last sync.

    Attributes:
        time: when it ended.
        result: its outcome's result; None if it raised an error.
        error: name of the error that it raised, for example "TransportError"; "" if it raised none.
    """

    time: datetime
    result: Result | None
    error: str


@dataclass(frozen=True)
class Window:
    """The time in which the coordinator wants the next check-in."""

    earliest: datetime
    latest: datetime


@dataclass(frozen=True)
class ClientStatus:
    """A client's state at one moment. It holds no items and no values of attributes.

    >>> from tempfile import TemporaryDirectory
    >>> from client_sdk import FedClient
    >>> folder = TemporaryDirectory()
    >>> with FedClient.open(folder.name, coordinator="fed.example.com:443", population="movies") as client:
    ...     client.set_attribute("gender", "F")
    ...     status = client.status()
    >>> status.attributes, status.model, status.background.running
    (('gender',), None, False)
    >>> folder.cleanup()

    Attributes:
        model: the model version; None before the first.
        recorded: number of recorded interactions.
        unlisted: number of those whose items the model's catalogue does not list. They are kept until a catalogue lists
            them. None if there is no catalogue on the device.
        attributes: names of the attributes that are set, sorted.
        upload_waiting: True if an upload has not been answered; the next sync makes it again.
        last_sync: the end of the last sync; None before the first.
        next_check_in: the coordinator's window; None if it gave none.
        background: the state of background work.
    """

    model: ModelVersion | None
    recorded: int
    unlisted: int | None
    attributes: tuple[str, ...]
    upload_waiting: bool
    last_sync: LastSync | None
    next_check_in: Window | None
    background: BackgroundStatus


def of(store: SqliteStore, task: TaskManifest | None, pace: Pace, background: BackgroundStatus) -> ClientStatus:
    """Returns a client's status; `task` is the manifest of its model."""
    with store.held():
        model = store.model()
        return ClientStatus(
            model=ModelVersion(model.task_id, model.round) if model else None,
            recorded=store.recorded(),
            unlisted=store.unlisted(task.catalogue) if task else None,
            attributes=store.attribute_names(),
            upload_waiting=store.staged() is not None,
            last_sync=_last(pace),
            next_check_in=_window(pace),
            background=background,
        )


def _last(pace: Pace) -> LastSync | None:
    if pace.last is None:
        return None
    return LastSync(_time(pace.last), Result(pace.result) if pace.result else None, pace.error)


def _window(pace: Pace) -> Window | None:
    if pace.earliest is None or pace.latest is None:
        return None
    return Window(_time(pace.earliest), _time(pace.latest))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
