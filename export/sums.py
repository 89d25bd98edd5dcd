"""Policies of secure sums as files (YAML): read, written, and added to a bundle. See docs/secure-sums.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from export.bundle import Bundle
from export.errors import PlanError
from export.plan import planfile
from export.plan.explain import explain
from export.plan.types import Number, Positive, Scale, Section, Text, Whole, setting
from fedau2.v1.secure_pb2 import Grid, SecureSums
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import erasers, manifest, matchings
from fedau2.wire.errors import ManifestError
from fedau2.wire.secure import crowd, privacy
from fedau2.wire.secure import policy as policies

FILE = "sums.yaml"
"""The file of a run folder that holds the policy of its sums."""

_Counted = Annotated[Whole, Field(ge=0, lt=2**32)]


class TensorGrid(Section):
    """The integers that carry one tensor."""

    exponent: Annotated[Whole, Field(ge=-policies.MOST_EXPONENT, le=policies.MOST_EXPONENT)] = setting(
        "A number x is carried as x * 2^exponent, rounded."
    )
    clip: Annotated[Whole, Field(ge=1, lt=2**64)] = setting("Largest L2 norm of a contribution, in those integers.")
    noise_share: Annotated[Number, Field(ge=0, le=1)] = setting(
        "Share of the noise; the squares of all shares add up to 1 with noise, and every share is 0 without.",
        default=0.0,
    )


class Policy(Section):
    """A policy of secure sums, as a file holds it. Only noise has a default, because the rest is measured or chosen."""

    modulus_bits: Literal[policies.MODULUS_BITS] = setting("Width of the integers that travel.", "bits")  # type: ignore[valid-type]
    value_bits: Literal[policies.VALUE_BITS] = setting("Width of the integers of one contribution.", "bits")  # type: ignore[valid-type]
    minimum: Annotated[Whole, Field(ge=policies.LEAST_MINIMUM, lt=2**32)] = setting(
        "Fewest contributions of a sum that is opened."
    )
    row_threshold: _Counted = setting("Fewest contributions that must have touched a row whose sum is opened.")
    max_participations: _Counted = setting("Most contributions of one device; 0: any number.")
    noise_multiplier: Scale = setting("Deviation of a sum's noise; 0: none.", "clip over share", default=0.0)
    touched_rows: Positive = setting("Catalogue rows that a device touches, as measured.", "rows")
    grids: Annotated[dict[Text, TensorGrid], Field(min_length=1)] = setting("The integers of each tensor, by its name.")

    def message(self) -> SecureSums:
        """Returns the policy for a manifest."""
        grids = [Grid(tensor=name, **grid.model_dump()) for name, grid in sorted(self.grids.items())]
        return SecureSums(version=policies.VERSION, grids=grids, **self.model_dump(exclude={"grids", "touched_rows"}))

    def dump(self) -> bytes:
        """Returns the content of the file."""
        return planfile.dump(self.model_dump(mode="json")).encode()


def read(path: Path) -> Policy:
    """Reads a policy.

    Raises:
        PlanError: the file cannot be read, or is not a policy.
    """
    content = planfile.document(path, "policy", tuple(Policy.model_fields))
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        raise PlanError(f"{path}: {explain(error, Policy, content)}") from error


def add(bundle: Bundle, policy: Policy, unmaskers: Sequence[bytes] = ()) -> Bundle:
    """Returns a bundle whose contributions are only ever added up, as a policy says.

    Args:
        bundle: without a policy.
        policy: to add.
        unmaskers: Ed25519 keys, 32 bytes each, of those who may open sums; one at most.

    Raises:
        PlanError: the policy does not fit the bundle.
    """
    task = TaskManifest()
    task.CopyFrom(bundle.manifest)
    if policy.touched_rows > task.items:
        raise PlanError(
            f"secure_sums: touched_rows is {policy.touched_rows:g}, and the catalogue has {task.items:,} items: "
            "measure it with `fedau2-sim calibrate`"
        )
    task.secure_sums.CopyFrom(policy.message())
    task.secure_sums.unmaskers.extend(unmaskers)
    if policies.FEATURE not in task.required_features:
        task.required_features.append(policies.FEATURE)
    return _checked(task, bundle)


def opened_by(bundle: Bundle, unmaskers: Sequence[bytes]) -> Bundle:
    """Returns a bundle with secure sums whose policy names who opens them.

    Args:
        bundle: with a policy.
        unmaskers: their public keys, 32 bytes each; one at most.

    Raises:
        PlanError: a key has a wrong size, or they are too many.
    """
    task = TaskManifest()
    task.CopyFrom(bundle.manifest)
    task.secure_sums.unmaskers[:] = unmaskers
    return _checked(task, bundle)


def expect_hidden(task: TaskManifest) -> None:
    """Checks that devices do not refuse a task because its sums tell attributes and are not secure.

    Raises:
        PlanError: they would.
    """
    try:
        matchings.check_hidden(task)
        erasers.check_hidden(task)
    except ManifestError as error:
        raise PlanError(
            f"all devices would refuse the bundle: {error}. `fedau2-sim calibrate` measures one; give its file with "
            "--sums"
        ) from error


def _checked(task: TaskManifest, bundle: Bundle) -> Bundle:
    try:
        manifest.check(task)
    except ManifestError as error:
        raise PlanError(str(error)) from error
    return Bundle(task, bundle.blobs)


def crowd_line(policy: Policy, items: int) -> str:
    """Says how many devices share a row of the smallest sum, and how much of the sum stays closed."""
    mean = crowd.crowd(policy.minimum, policy.touched_rows, items)
    closed = crowd.closed(mean, policy.row_threshold if policy.row_threshold > 1 else 0)
    warning = (
        ""
        if mean >= crowd.LEAST
        else f"; for {crowd.LEAST:g} devices a row, sums need {crowd.devices_for(policy.touched_rows, items):,} devices"
    )
    return (
        f"secure sums: {policy.minimum} devices that touch {policy.touched_rows:g} of {items:,} rows make {mean:.1f} a "
        f"row; {closed:.1%} of the rows stay closed in each round{warning}"
    )


def noise_line(policy: Policy, delta: float = privacy.DELTA) -> str:
    """Says what the noise of a policy promises to each device, in one sentence."""
    if not policy.noise_multiplier:
        return "noise: none, so that sums promise no differential privacy"
    epsilon = privacy.epsilon(privacy.mu(policy.max_participations, policy.noise_multiplier), delta)
    return (
        f"noise of multiplier {policy.noise_multiplier:g} on sums: at most {policy.max_participations} contributions "
        f"of a device have epsilon {epsilon:.3g} at delta {delta:g}, without amplification by sampling"
    )


def expect_crowd(policy: Policy, items: int) -> None:
    """Checks that exact sums of all rows do not show single devices. Noise hides what is in thin rows.

    Raises:
        PlanError: they do.
    """
    mean = crowd.crowd(policy.minimum, policy.touched_rows, items)
    if policy.noise_multiplier:
        return
    if mean < crowd.LEAST and policy.row_threshold <= 1:
        raise PlanError(
            f"secure_sums: {policy.minimum} devices that touch {policy.touched_rows:g} of {items:,} rows make "
            f"{mean:.1f} a row, and about {crowd.alone(mean, items):.0f} rows show one device alone: set row_threshold "
            f"to 10, or minimum to {crowd.devices_for(policy.touched_rows, items):,}"
        )
