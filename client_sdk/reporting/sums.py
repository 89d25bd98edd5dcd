"""The statements on secure sums: who must be honest, and how much the sums tell about this device."""

import math

from client_sdk.reporting.statements import Statement, statement
from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.secure import privacy


def statements(policy: SecureSums, contributions: int) -> list[Statement]:
    """Returns what the secure sums of a task mean for this device.

    Args:
        policy: of the task.
        contributions: masked contributions of this device to the task, which may be in sums.
    """
    most = policy.max_participations
    made = [statement("sums_masked", minimum=policy.minimum), statement("sums_trusted")]
    if most:
        made.append(statement("sums_participations", count=contributions, most=max(most, contributions)))
    else:
        made.append(statement("sums_unlimited", count=contributions))
    if not policy.noise_multiplier:
        return [*made, statement("sums_without_noise")]
    spent, bound = (_epsilon(count, policy) for count in (contributions, max(most, contributions)))
    return [*made, statement("sums_epsilon", spent=spent, most=bound, delta=f"{privacy.SERVED_DELTA:.6f}")]


def _epsilon(contributions: int, policy: SecureSums) -> str:
    """Returns the epsilon of so many contributions with two decimals, rounded up."""
    epsilon = privacy.epsilon(privacy.mu(contributions, policy.noise_multiplier), privacy.SERVED_DELTA)
    return f"{math.ceil(epsilon * 100) / 100:.2f}"
