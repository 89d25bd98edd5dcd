"""The least that secure sums must keep secret for an app's devices to take part in them."""

import math
from dataclasses import dataclass

from client_sdk.errors import PlainTaskError, UsageError
from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.secure.policy import LEAST_MINIMUM


@dataclass(frozen=True)
class SumFloors:
    """The least that an app requires of a task's secure sums. A task that keeps less is refused as a plain one is.

    >>> SumFloors(minimum=500).minimum
    500

    Attributes:
        noise_multiplier: smallest noise on a sum, in units of the clip; 0: none is required.
        minimum: fewest contributions of a sum that may be opened.

    Raises:
        UsageError: a floor has a wrong type or value.
    """

    noise_multiplier: float = 0.0
    minimum: int = LEAST_MINIMUM

    def __post_init__(self) -> None:
        noise, minimum = self.noise_multiplier, self.minimum
        if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < math.inf:
            raise UsageError(f"noise_multiplier must be a number from 0 up, not {noise!r}")
        if isinstance(minimum, bool) or not isinstance(minimum, int) or minimum < LEAST_MINIMUM:
            raise UsageError(f"minimum must be a whole number from {LEAST_MINIMUM} up, not {minimum!r}")

    def expect(self, policy: SecureSums) -> None:
        """Returns if a policy reaches the floors.

        Raises:
            PlainTaskError: it does not.
        """
        if policy.minimum < self.minimum:
            raise PlainTaskError(
                f"the task's sums may have {policy.minimum} contributions, and the app requires {self.minimum}"
            )
        if policy.noise_multiplier < self.noise_multiplier:
            raise PlainTaskError(
                f"the noise on the task's sums has the multiplier {policy.noise_multiplier:g}, and the app requires "
                f"{self.noise_multiplier:g}"
            )
