"""What a client says of itself."""

from dataclasses import dataclass
from datetime import UTC, datetime

from client_sdk.protocol.wishes import Result
from client_sdk.scheduling.pace import Pace
from client_sdk.scheduling.schedule import BackgroundStatus
from client_sdk.store.sqlite_store import SqliteStore


@dataclass(frozen=True)
class ModelVersion:
    """The model that recommendations come from.

    Attributes:
        task_id: the task that trains it.
        round: rounds that it has been trained for.
    """

    task_id: str
    round: int


@dataclass(frozen=True)
class LastSync:
    """How the last sync ended.

    Attributes:
        time: when.
        result: its outcome's result; None where it raised.
        error: name of the error that it raised, for example "TransportError"; "" where it did not.
    """

    time: datetime
    result: Result | None
    error: str


@dataclass(frozen=True)
class Window:
    """When the coordinator wants the next check-in."""

    earliest: datetime
    latest: datetime


@dataclass(frozen=True)
class ClientStatus:
    """What a client has and does, at one moment. Values of attributes and items are not in it.

    Attributes:
        model: the model version; None before the first.
        recorded: interactions recorded.
        attributes: names of the attributes that are set, sorted.
        upload_waiting: whether a contribution waits for its upload to be answered; the next sync sends it again.
        last_sync: how the last one ended; None before the first.
        next_check_in: the coordinator's window; None where it gave none.
        background: whether background work is running, and what it waits for.
    """

    model: ModelVersion | None
    recorded: int
    attributes: tuple[str, ...]
    upload_waiting: bool
    last_sync: LastSync | None
    next_check_in: Window | None
    background: BackgroundStatus


def of(store: SqliteStore, pace: Pace, background: BackgroundStatus) -> ClientStatus:
    """A client's status."""
    with store.held():
        model = store.model()
        return ClientStatus(
            model=ModelVersion(model.task_id, model.round) if model else None,
            recorded=store.recorded(),
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
