"""The least that secure sums must keep secret for an app's devices to take part in them."""

import math
from dataclasses import dataclass

from client_sdk.errors import PlainTaskError, UsageError
from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.secure.closing import LEAST_CARRIERS
from fedau2.wire.secure.policy import LEAST_MINIMUM


@dataclass(frozen=True)
class SumFloors:
    """The least that an app requires of a task's secure sums. A task that keeps less is refused as a plain one is.

    >>> SumFloors(minimum=500).minimum
    500

    Attributes:
        noise_multiplier: smallest noise on a sum, in units of the clip; 0: none is required.
        minimum: fewest contributions of a sum that may be opened.
        participations: largest cap on one device's contributions to a task; 0: none is required.
        row_threshold: fewest devices whose numbers of one item may be opened without noise; with 0 and 1 every row may.
            Noise stands in for it, because a policy with noise opens every row.

    Raises:
        UsageError: a floor has a wrong type or value.
    """

    noise_multiplier: float = 0.0
    minimum: int = LEAST_MINIMUM
    participations: int = 0
    row_threshold: int = LEAST_CARRIERS

    def __post_init__(self) -> None:
        noise = self.noise_multiplier
        if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < math.inf:
            raise UsageError(f"noise_multiplier must be a number from 0 up, not {noise!r}")
        _expect_whole("minimum", self.minimum, LEAST_MINIMUM)
        _expect_whole("participations", self.participations, 0)
        _expect_whole("row_threshold", self.row_threshold, 0)

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
        if not policy.noise_multiplier and max(policy.row_threshold, 1) < self.row_threshold:
            raise PlainTaskError(
                f"the task's sums have no noise and open rows of {max(policy.row_threshold, 1)} devices, and the app "
                f"requires noise, or {self.row_threshold} devices"
            )
        if self.participations and not 0 < policy.max_participations <= self.participations:
            most = policy.max_participations or "any number of"
            raise PlainTaskError(
                f"a device may make {most} contributions to the task, and the app requires a cap of at most "
                f"{self.participations}"
            )


def _expect_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} must be a whole number from {least} up, not {value!r}")
