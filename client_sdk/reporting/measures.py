"""The measures that protect the user, as far as the newest task and the app's settings say."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from client_sdk.reporting import sums
from client_sdk.reporting.statements import Statement, statement
from fedau2.v1.task_pb2 import TRIGGER_OFF, TaskManifest

_NONE: Mapping[float, int] = MappingProxyType({})


def in_force(
    task: TaskManifest | None,
    attributes: Collection[str],
    *,
    encrypted: bool,
    checked: bool,
    masked: int = 0,
    noises: Mapping[float, int] = _NONE,
) -> tuple[Statement, ...]:
    """Returns the measures that are in force, and those that are missing.

    Args:
        task: the manifest of the newest model; None if there is no model.
        attributes: names of the attributes that are known on the device.
        encrypted: transfers are encrypted.
        checked: only tasks of the app's publishers are run.
        masked: contributions to the task that are masked and may be in its sums.
        noises: the same for all tasks, by the noise multiplier of their sums.
    """
    adversaries = [] if task is None else [a for a in task.plan.adversaries if a.attribute in attributes]
    unlearned = {a.attribute for a in adversaries if a.trigger != TRIGGER_OFF}
    matched = [] if task is None else [m for m in task.plan.matchings if m.attribute in attributes]
    unlearned |= {m.attribute for m in matched if m.weight > 0}
    erased = set() if task is None else {part.attribute for part in task.plan.eraser.erased}
    unlearned |= erased & set(attributes)
    noised = {a.attribute for a in adversaries if a.clip_norm > 0 and a.noise_multiplier > 0}
    measures = [
        statement("no_name_sent"),
        statement("transfers_encrypted" if encrypted else "transfers_not_encrypted"),
        statement("publishers_checked" if checked else "publishers_not_checked"),
    ]
    if unlearned:
        measures.append(statement("unlearning", names=tuple(sorted(unlearned))))
    if noised:
        measures.append(statement("noise", names=tuple(sorted(noised))))
    if task is not None and task.plan.local.cover_rows > 0:
        measures.append(statement("cover_items"))
    if task is not None and task.HasField("secure_sums"):
        measures += sums.statements(task.secure_sums, masked, noises)
    return tuple(measures)
