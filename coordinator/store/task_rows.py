"""Tasks of the ledger as values, with the older models that they keep."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from coordinator.store.row_checks import expect, is_hash, parses
from coordinator.store.tables import OPEN_STATES
from fedau2.v1.admin_pb2 import (
    TASK_STATE_FINISHED,
    TASK_STATE_RUNNING,
    ContributionNorms,
    CreateTaskHeader,
    TaskState,
)
from fedau2.v1.task_pb2 import (
    CHECKPOINT_ENCODING_UNSPECIFIED,
    CheckpointEncoding,
    ClientVersions,
    ClosingRule,
)


@dataclass(frozen=True)
class KeptModel:
    """A model that a task can be put back to.

    Attributes:
        round: number of rounds that were committed when it was the newest.
        checkpoint: SHA-256 of its tensors.
        server_state: SHA-256 of the server state beside it.
        encoded: SHA-256 of its tensors in the smaller encoding that devices are offered; empty without one.
    """

    round: int
    checkpoint: bytes
    server_state: bytes
    encoded: bytes = b""


@dataclass(frozen=True)
class Opening:
    """A sum that an unmasker has opened.

    Attributes:
        members: hash of the set of contributions.
        withheld: rows and tensors that stay closed, see `OpenedSum`.
        masks: SHA-256 of the packed sum of the masks, which lies beside the server states.
    """

    members: bytes
    withheld: bytes
    masks: bytes


@dataclass(frozen=True)
class TaskRow:
    """A task as it is stored.

    Hashes address blobs. That of the encoded checkpoint is empty without an `encoding`. `closing` is a serialised
    `ClosingRule`, `versions` a serialised `ClientVersions`, and `norms` a serialised `ContributionNorms`. `kept` are
    older models, oldest first, and `opening` is the sum of the open round once it has been opened. `skipped` is added
    to the number of a round that anybody else is given, see `given_round`: the rounds of the task's ancestors. It grows
    when a copy is restored or the task is put back, so that no number is given twice.
    """

    task_id: str
    population: str
    state: TaskState.ValueType
    created: float
    rounds: int
    round: int
    manifest: bytes
    closing: bytes
    checkpoint: bytes
    server_state: bytes
    versions: bytes = b""
    skipped: int = 0
    norms: bytes = b""
    encoding: CheckpointEncoding.ValueType = CHECKPOINT_ENCODING_UNSPECIFIED
    encoded: bytes = b""
    kept: tuple[KeptModel, ...] = ()
    opening: Opening | None = None

    @classmethod
    def begun(
        cls,
        task_id: str,
        header: CreateTaskHeader,
        at: float,
        manifest: bytes,
        checkpoint: bytes,
        server_state: bytes,
        encoded: bytes,
    ) -> Self:
        """Returns the row of a new task.

        Args:
            task_id: the task.
            header: as the operator sent it.
            at: when it begins, in seconds.
            manifest: hash of its manifest.
            checkpoint: hash of its first checkpoint.
            server_state: hash of its first server state.
            encoded: hash of its first checkpoint in the header's encoding; empty without one.
        """
        return cls(
            task_id=task_id,
            population=header.population,
            state=TASK_STATE_RUNNING,
            created=at,
            rounds=header.rounds,
            round=0,
            manifest=manifest,
            closing=header.closing.SerializeToString(deterministic=True),
            checkpoint=checkpoint,
            server_state=server_state,
            versions=header.versions.SerializeToString(deterministic=True),
            encoding=header.checkpoints,
            encoded=encoded,
        )

    def after(self, old: "TaskRow", first_round: int) -> "TaskRow":
        """Returns the row as that of a successor, which has the rounds that are left and is paused as the old task is.

        Args:
            old: the task that it replaces.
            first_round: as its manifest says; a number that was given already is not given again.
        """
        skipped = max(first_round, old.given_round)
        return replace(self, state=old.state, rounds=old.rounds - old.round, skipped=skipped)

    @property
    def open(self) -> bool:
        """The task has an open round: it is neither finished nor stopped."""
        return self.state in OPEN_STATES

    @property
    def given_round(self) -> int:
        """The number of the open round that devices and the unmasker are given.

        Whatever both sides derive from a round's number, such as passes and restarts, follows from this one. `round` is
        the coordinator's own count.
        """
        return self.round + self.skipped

    def kept_model(self, round: int) -> KeptModel | None:
        """Returns the kept model that was the newest after so many rounds, if there is one."""
        return next((model for model in self.kept if model.round == round), None)

    def committed(
        self, checkpoint: bytes, server_state: bytes, norms: bytes = b"", keep: int = 1, encoded: bytes = b""
    ) -> "TaskRow":
        """Returns the row as it is after the commit of its open round.

        Args:
            checkpoint: hash of the new one.
            server_state: hash of the new one.
            norms: of the round's contributions, serialised.
            keep: most older models to keep, at least 1.
            encoded: hash of the new checkpoint in the task's encoding; empty without one.
        """
        last = self.round + 1 == self.rounds
        kept = (*self.kept, KeptModel(self.round, self.checkpoint, self.server_state, self.encoded))
        return replace(
            self,
            state=TASK_STATE_FINISHED if last else self.state,
            round=self.round + 1,
            checkpoint=checkpoint,
            server_state=server_state,
            norms=norms,
            encoded=encoded,
            kept=kept[-keep:],
            opening=None,
        )

    def passed_over(self) -> "TaskRow":
        """Returns the row as it is after its open round was skipped: with the same model."""
        last = self.round + 1 == self.rounds
        state = TASK_STATE_FINISHED if last else self.state
        return replace(self, state=state, round=self.round + 1, opening=None)

    def put_back(self, model: KeptModel, separation: int) -> "TaskRow":
        """Returns the row as it is after the task was put back to one of its kept models. Newer ones are given up.

        Args:
            model: the kept model.
            separation: rounds from one contribution of a device to its next. So many numbers of rounds are skipped, and
                at least one: a device whose contribution was given up may take part again at once.
        """
        return replace(
            self,
            checkpoint=model.checkpoint,
            server_state=model.server_state,
            encoded=model.encoded,
            skipped=self.skipped + max(1, separation),
            kept=tuple(older for older in self.kept if older.round <= model.round),
            opening=None,
        )


_HASHES = ("manifest", "checkpoint", "server_state")
_TEXTS = ("task_id", "population")


def task_row(values: Mapping[str, Any]) -> TaskRow:
    """Makes a task of its columns.

    Raises:
        LedgerError: no task can have these values.
    """
    row = TaskRow(**values)
    whole = (
        all(isinstance(values[name], str) for name in _TEXTS)
        and all(is_hash(values[name]) for name in _HASHES)
        and row.state in TaskState.values()
        and isinstance(row.created, float)
        and all(isinstance(number, int) for number in (row.rounds, row.round, row.skipped))
        and 0 <= row.round <= row.rounds
        and row.skipped >= 0
        and parses(ClosingRule, row.closing)
        and parses(ClientVersions, row.versions)
        and parses(ContributionNorms, row.norms)
        and row.encoding in CheckpointEncoding.values()
        and (is_hash(row.encoded) if row.encoding else row.encoded == b"")
        and (row.opening is None or (is_hash(row.opening.members) and is_hash(row.opening.masks)))
    )
    return expect(whole, row, f"task {row.task_id!r}")


def kept_model(round: int, checkpoint: bytes, server_state: bytes, encoded: bytes) -> KeptModel:
    """Makes a kept model of its columns.

    Raises:
        LedgerError: no model can have these values.
    """
    hashes = is_hash(checkpoint) and is_hash(server_state) and (encoded == b"" or is_hash(encoded))
    whole = isinstance(round, int) and round >= 0 and hashes
    return expect(whole, KeptModel(round, checkpoint, server_state, encoded), "kept model")
