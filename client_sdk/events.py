"""Events that a client publishes to the app while it takes part in training. None says anything about the user."""

from dataclasses import dataclass

from client_sdk.advice import REASONS
from client_sdk.errors import FedError


@dataclass(frozen=True)
class Joined:
    """The coordinator gave this device a place in a round.

    Attributes:
        task_id: the task.
        round: the round, counted from 0.
    """

    task_id: str
    round: int


@dataclass(frozen=True)
class NewModel:
    """A new model version is on the device, and recommendations come from it from now on.

    Attributes:
        task_id: the task.
        round: number of the round that starts from it, from 0. Rounds that were skipped count.
    """

    task_id: str
    round: int


@dataclass(frozen=True)
class CarriedOver:
    """The client's private state was carried over to a task that goes on from an earlier one.

    Attributes:
        task_id: the task that goes on.
        tensors: names of the private tensors that were carried over.
        anew: names of the private tensors that start anew, because the earlier task has none of that name and shape.
    """

    task_id: str
    tensors: tuple[str, ...]
    anew: tuple[str, ...]


@dataclass(frozen=True)
class Trained:
    """A contribution to the round has been trained. The device keeps it until its upload is answered."""

    task_id: str
    round: int


@dataclass(frozen=True)
class Uploaded:
    """The coordinator counted the contribution to the round."""

    task_id: str
    round: int


@dataclass(frozen=True)
class Rejected:
    """The round had no place for this device, or the device may not use it: it came too soon, or is not enrolled.

    Attributes:
        reason: as in `Outcome.reason`.
    """

    reason: str

    @property
    def code(self) -> str:
        """The reason as a code, for example "round_full"."""
        return _code(self.reason)

    @property
    def advice(self) -> str:
        """The app's next step, if there is another than to sync again later."""
        return REASONS.get(self.code, "")


@dataclass(frozen=True)
class Refused:
    """The coordinator did not take the contribution, for example because the round was over.

    Attributes:
        task_id: the task.
        round: the round that the contribution was for.
        reason: the coordinator's words.
        code: name of the status with which it answered, for example "aborted".
    """

    task_id: str
    round: int
    reason: str
    code: str


@dataclass(frozen=True)
class TaskRefused:
    """This device does not run the task that the coordinator sent. A model that was here before stays.

    Attributes:
        task_id: the task.
        round: the round that it was sent for.
        code: that of the error, for example "untrusted_task".
    """

    task_id: str
    round: int
    code: str


@dataclass(frozen=True)
class DownloadDropped:
    """A model version whose download had begun will not be finished. The next sync begins a newer one.

    Attributes:
        task_id: the task.
        round: as in `NewModel`.
        code: "not_served" if the coordinator has dropped the version, "task_over" if another task has taken the place
            of its task; otherwise that of the error, for example "damaged_task".
    """

    task_id: str
    round: int
    code: str


@dataclass(frozen=True)
class ContributionDropped:
    """A contribution was trained and dropped before a byte of it left the device.

    Attributes:
        task_id: the task.
        round: the round that it was for.
        code: "too_slow" if the time of the place was over; otherwise that of the error.
    """

    task_id: str
    round: int
    code: str


@dataclass(frozen=True)
class InteractionsDropped:
    """The oldest interactions were removed, because more than `max_interactions` were recorded.

    Attributes:
        count: their number.
    """

    count: int
    code: str = "store_full"


@dataclass(frozen=True)
class BlobRemoved:
    """A part of the model was damaged on the disk and has been removed. The sync that follows says so and fetches it.

    Attributes:
        sha256: its address, in hexadecimal digits.
    """

    sha256: str
    code: str = "damaged_blob"


@dataclass(frozen=True)
class SyncInterrupted:
    """A sync ended early: by `close`, its timeout, Ctrl-C or a cancellation, or by the limits of background work.

    It also ends early if its lease is too short. Nothing that was fetched or trained is lost.

    Attributes:
        reason: as in `Outcome.reason`.
    """

    reason: str = ""

    @property
    def code(self) -> str:
        """The reason as a code, for example "too_slow"; without a reason, "stopped"."""
        return _code(self.reason) or "stopped"


@dataclass(frozen=True)
class SyncFailed:
    """A sync ended with an error. Repeated errors of a client that cannot train are published once.

    Attributes:
        error: name of the error's type, for example "TransportError".
        text: the error's text if it is about the network, the coordinator or the disk; "" for all others, whose texts
            may quote the user.
        code: that of the error.
        advice: that of the error.
    """

    error: str
    text: str = ""
    code: str = FedError.code
    advice: str = ""


Event = (
    Joined
    | NewModel
    | CarriedOver
    | Trained
    | Uploaded
    | Rejected
    | Refused
    | TaskRefused
    | DownloadDropped
    | ContributionDropped
    | InteractionsDropped
    | BlobRemoved
    | SyncInterrupted
    | SyncFailed
)


def _code(reason: str) -> str:
    """Turns a reason of the protocol into a code: "REJECTION_REASON_ROUND_FULL" into "round_full"."""
    return reason.rpartition("REASON_")[2].lower()
