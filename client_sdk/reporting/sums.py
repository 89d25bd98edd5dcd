"""The statements on secure sums: who must be honest, and how much the sums tell about this device."""

import math
from collections.abc import Mapping

from client_sdk.reporting.statements import Statement, statement
from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.secure import privacy


def statements(policy: SecureSums, contributions: int, noises: Mapping[float, int]) -> list[Statement]:
    """Returns what the secure sums of a task, and those of earlier tasks, mean for this device.

    Args:
        policy: of the task.
        contributions: masked contributions of this device to the task, which may be in sums.
        noises: the same for all tasks, the present one included, by the noise multiplier of their sums.
    """
    most, noise = policy.max_participations, policy.noise_multiplier
    made = [statement("sums_masked", minimum=policy.minimum), statement("sums_trusted")]
    if most:
        made.append(statement("sums_participations", count=contributions, most=max(most, contributions)))
    else:
        made.append(statement("sums_unlimited", count=contributions))
    if not noise:
        return [*made, statement("sums_without_noise")]
    noised = {multiplier: count for multiplier, count in noises.items() if multiplier}
    left = max(0, most - contributions)
    at_end = {**noised, noise: noised.get(noise, 0) + left}
    spent, bound = _epsilon(noised), _epsilon(at_end)
    made.append(statement("sums_epsilon", spent=spent, most=bound, delta=f"{privacy.SERVED_DELTA:.6f}"))
    if exact := noises.get(0.0, 0):
        made.append(statement("sums_exact_before", count=exact))
    return made


def _epsilon(counts: Mapping[float, int]) -> str:
    """Returns the epsilon of contributions under several noises with two decimals, rounded up."""
    epsilon = privacy.epsilon(privacy.combined_mu(counts), privacy.SERVED_DELTA)
    return f"{math.ceil(epsilon * 100) / 100:.2f}"
