"""The check that a coordinator can run a task with secure sums, and that its sums would not show single devices."""

import secrets
from dataclasses import dataclass

from coordinator.errors import InvalidBundleError
from coordinator.model.task import TaskSpec
from fedau2.v1.admin_pb2 import CreateTaskHeader
from fedau2.v1.task_pb2 import CHECKPOINT_ENCODING_UNSPECIFIED
from fedau2.wire.errors import ManifestError
from fedau2.wire.secure import crowd, policy

_ID = 16
"""Bytes of the id of a task with secure sums. Masks are bound to it, so nobody may meet it again."""


def new_id(hidden: bool) -> str:
    """Draws the id of a task, in hexadecimal digits."""
    return secrets.token_hex(_ID if hidden else _ID // 2)


def is_hidden(task_id: str) -> bool:
    """Returns True for the id of a task with secure sums."""
    return len(task_id) == 2 * _ID


@dataclass(frozen=True)
class HiddenTasks:
    """The tasks with secure sums that this coordinator can run.

    Attributes:
        unmasker: identity key of the unmasker; None: nobody opens sums.
        recorded: contributions are recorded for an audit.
    """

    unmasker: bytes | None
    recorded: bool

    def check(self, header: CreateTaskHeader, spec: TaskSpec) -> None:
        """Returns if a task can be run.

        Raises:
            InvalidBundleError: it cannot; the text says why.
        """
        if self.recorded and (reason := unrecorded(spec)):
            raise InvalidBundleError(f"the task was refused: {reason}: start the coordinator without `audit`")
        if not spec.hidden:
            return
        self._check_unmasker(spec)
        if header.checkpoints != CHECKPOINT_ENCODING_UNSPECIFIED:
            _refuse("a mask is bound to one checkpoint, so there is no smaller encoding: give --checkpoints float32")
        try:
            policy.check_closing(spec.manifest.secure_sums, spec.closing)
        except ManifestError as error:
            raise InvalidBundleError(f"the task was refused: {error}") from error
        _check_crowd(header.touched_rows, spec)

    def _check_unmasker(self, spec: TaskSpec) -> None:
        if self.unmasker is None:
            _refuse("this coordinator has no unmasker: start it with --unmasker and --unmasker-key")
        keys = list(spec.manifest.secure_sums.unmaskers)
        if self.unmasker not in keys:
            named = "names no unmasker" if not keys else "names another unmasker than this coordinator's"
            _refuse(f"the policy {named}: build the bundle with the unmasker's identity key")


def unrecorded(spec: TaskSpec) -> str | None:
    """Says why contributions to a task cannot be recorded for an audit; None: they can."""
    if spec.hidden:
        return "it has secure sums, which cannot be recorded for an audit"
    if spec.rule.most_stale:
        return "it has buffered rounds, and a recording has one checkpoint for all contributions of a round"
    return None


def _check_crowd(touched: float, spec: TaskSpec) -> None:
    sums, items = spec.manifest.secure_sums, spec.manifest.items
    if sums.row_threshold > 1 or sums.noise_multiplier:
        return
    if touched > items:
        _refuse(f"a device cannot touch {touched:g} rows, since the catalogue has {items:,}")
    if not touched > 0:
        _refuse(
            "every row of its sums is opened, without noise: say how many rows a device touches, as `fedau2-sim "
            "calibrate` measured it (--touched-rows), or build the bundle with row_threshold 10"
        )
    mean = crowd.crowd(sums.minimum, touched, items)
    if mean < crowd.LEAST:
        _refuse(
            f"{sums.minimum} devices that touch {touched:g} of {items:,} rows make {mean:.1f} a row, and about "
            f"{crowd.alone(mean, items):.0f} rows show one device alone: build the bundle with row_threshold 10, or "
            f"with minimum {crowd.devices_for(touched, items):,}"
        )


def _refuse(text: str) -> None:
    raise InvalidBundleError(f"the task asks for secure sums and was refused: {text}")
