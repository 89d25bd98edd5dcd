"""Checks the policy of secure sums, for devices and for the coordinator alike."""

import math
from collections.abc import Mapping

from fedau2.v1.secure_pb2 import Grid, SecureSums
from fedau2.v1.task_pb2 import ClosingRule, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE, TensorSpec
from fedau2.wire.checks import require
from fedau2.wire.errors import ManifestError

FEATURE = "secure-sums"
"""The feature that a task with a policy requires: a device that does not know it would show its contribution."""

VERSION = 1
"""The layout and the masks that this version knows; see `SecureSums.version`."""

MODULUS_BITS = (20, 24, 28, 32)
VALUE_BITS = (12, 14, 16)

LEAST_MINIMUM = 64
"""Smallest `SecureSums.minimum`: a sum over fewer devices shows too much of each."""

SLACK = 2
"""Bits of the modulus that honest sums leave unused, so that a sum of anything else is seen."""

MOST_EXPONENT = 64

MOST_UNMASKERS = 1
"""Most unmaskers of a policy. Two that do not know of each other would each open a set of the same round, and the
difference of two sets can be one contribution."""

NOISE_ROOM = 10
"""Deviations of noise that sums leave room for. More than these never come."""

_SHARES = 1e-6  # rounding of the float32 shares


def check(task: TaskManifest) -> None:
    """Checks the policy of a manifest, and that the manifest requires the feature if and only if it has a policy.

    Raises:
        ManifestError: the text says what is wrong.
    """
    present = task.HasField("secure_sums")
    require(
        present or FEATURE not in task.required_features,
        f"the manifest requires {FEATURE!r}, and says nothing of how sums are made",
    )
    if not present:
        return
    require(
        FEATURE in task.required_features,
        f"the manifest has a policy of secure sums, and does not require {FEATURE!r}",
    )
    policy = task.secure_sums
    _check_numbers(policy)
    _check_noise(policy)
    _check_grids(policy, {spec.name: spec for spec in task.tensors if spec.scope != TENSOR_SCOPE_PRIVATE})
    require(
        not task.plan.server.clip_norm,
        "secure_sums: server.clip_norm must be 0, and so server.clip_medians, since the server never sees one "
        "contribution; grids have clips",
    )


def check_closing(policy: SecureSums, rule: ClosingRule) -> None:
    """Checks that rounds that close by a rule fit a checked policy.

    Raises:
        ManifestError: a sum could wrap around, or a round could close with too few contributions.
    """
    most = largest_cohort(policy.modulus_bits, policy.value_bits)
    require(
        rule.maximum <= most,
        f"secure_sums: values of {policy.value_bits} bits modulo 2^{policy.modulus_bits} have room for {most} "
        f"contributions, and the closing rule's maximum is {rule.maximum}",
    )
    require(
        rule.minimum >= policy.minimum,
        f"secure_sums: a sum of fewer than {policy.minimum} contributions stays closed, and the closing rule's minimum "
        f"is {rule.minimum}",
    )


def largest_cohort(modulus_bits: int, value_bits: int) -> int:
    """Returns the most contributions of a sum: the largest n with b >= v + ceil(log2 n) + 2, or 0."""
    return int(2.0 ** (modulus_bits - value_bits - SLACK))


def modulus_for(value_bits: int, contributions: int) -> int:
    """Returns the narrowest modulus for sums of so many contributions, in bits.

    Raises:
        ValueError: they are too many.
    """
    for bits in MODULUS_BITS:
        if largest_cohort(bits, value_bits) >= contributions:
            return bits
    raise ValueError(f"no modulus has room for {contributions} contributions of {value_bits} bits")


def largest_value(policy: SecureSums) -> int:
    """Returns the largest absolute value of one integer of a contribution."""
    return int(2 ** (policy.value_bits - 1) - 1)


def largest_deviation(modulus_bits: int) -> float:
    """Returns the bound of a deviation of noise, in steps: it leaves the bits of `SLACK` and the sign as they are."""
    return float(2 ** (modulus_bits - SLACK - 1) / NOISE_ROOM)


def grids(policy: SecureSums) -> dict[str, Grid]:
    """Returns the grids by tensor."""
    return {grid.tensor: grid for grid in policy.grids}


def deviations(policy: SecureSums) -> dict[str, float]:
    """Returns the standard deviation of the noise on each number of a sum, in steps of the grid, by tensor.

    Args:
        policy: checked.

    Returns:
        All are 0 without noise.
    """
    noise = policy.noise_multiplier
    return {grid.tensor: noise * grid.clip / grid.noise_share if noise else 0.0 for grid in policy.grids}


def _check_numbers(policy: SecureSums) -> None:
    _expect(policy.version == VERSION, f"version {policy.version} is not {VERSION}, the one that this version knows")
    _expect(policy.modulus_bits in MODULUS_BITS, f"modulus_bits must be one of {MODULUS_BITS}")
    _expect(policy.value_bits in VALUE_BITS, f"value_bits must be one of {VALUE_BITS}")
    _expect(policy.minimum >= LEAST_MINIMUM, f"minimum must be at least {LEAST_MINIMUM}, not {policy.minimum}")
    most = largest_cohort(policy.modulus_bits, policy.value_bits)
    _expect(
        policy.minimum <= most,
        f"values of {policy.value_bits} bits modulo 2^{policy.modulus_bits} have room for {most} contributions, and "
        f"minimum is {policy.minimum}",
    )
    keys = list(policy.unmaskers)
    _expect(
        len(keys) <= MOST_UNMASKERS,
        f"{len(keys)} unmaskers would each open a set of the same round, and their difference can show one device: "
        f"name at most {MOST_UNMASKERS}",
    )
    _expect(all(len(key) == 32 for key in keys), "an unmasker's key is not one of 32 bytes")


def _check_noise(policy: SecureSums) -> None:
    noise, shares = policy.noise_multiplier, [grid.noise_share for grid in policy.grids]
    _expect(math.isfinite(noise) and noise >= 0, f"noise_multiplier must be 0 or a positive number, not {noise}")
    if not noise:
        _expect(not any(shares), "without noise every noise_share is 0")
        return
    _expect(all(0 < share <= 1 for share in shares), "with noise every noise_share lies above 0 and at most at 1")
    total = math.fsum(share**2 for share in shares)
    _expect(abs(total - 1) <= _SHARES, f"the squares of the noise_shares add up to {total:g}, not to 1")
    _expect(policy.max_participations > 0, "noise protects a bounded number of contributions: max_participations is 0")
    _expect(
        policy.row_threshold <= 1,
        f"row_threshold is {policy.row_threshold}, and with noise it must be 0: which rows stay closed would tell of "
        "devices without noise, while noise hides the contents of thin rows",
    )
    most = largest_deviation(policy.modulus_bits)
    for name, deviation in deviations(policy).items():
        _expect(
            deviation < most,
            f"{name}: a deviation of its noise is {deviation:,.0f} steps, and integers of {policy.modulus_bits} bits "
            f"have room for {NOISE_ROOM} deviations of {most:,.0f}: lower its exponent and clip, or widen modulus_bits",
        )
        _expect(
            deviation >= 1,
            f"{name}: a deviation of its noise is {deviation:.2g} steps, and below one step noise does not promise its "
            "epsilon: raise its exponent and clip, or noise_multiplier",
        )


def _check_grids(policy: SecureSums, specs: Mapping[str, TensorSpec]) -> None:
    names = [grid.tensor for grid in policy.grids]
    if wrong := set(names) ^ set(specs):
        raise ManifestError(
            f"secure_sums: each shared and adversary tensor has one grid, which is not so of {', '.join(sorted(wrong))}"
        )
    _expect(names == sorted(set(names)), "grids are not sorted by tensor, or a tensor has two")
    for grid in policy.grids:
        _expect(
            abs(grid.exponent) <= MOST_EXPONENT,
            f"{grid.tensor}: exponent must lie within +-{MOST_EXPONENT}, not at {grid.exponent}",
        )
        numbers = math.prod(specs[grid.tensor].shape)
        _expect(
            1 <= grid.clip**2 <= numbers * largest_value(policy) ** 2,
            f"{grid.tensor}: clip must lie between 1 and the norm of {numbers} largest values, not at {grid.clip}",
        )


def _expect(condition: bool, message: str) -> None:
    require(condition, f"secure_sums: {message}")
