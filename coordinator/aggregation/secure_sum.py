"""The sum of vectors of integers modulo 2^b, and the mean that it stands for."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from coordinator.errors import AggregationError, ImplausibleSumError
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.blobs import Tensors
from fedau2.wire.secure import closing, packing, quantise
from fedau2.wire.secure import policy as policies
from fedau2.wire.secure.layout import CANARY, Layout
from fedau2.wire.secure.rounding import Numbers, square_sum


class SecureSum:
    """The mean of contributions that are known by their sum alone.

    It keeps the laws of `aggregators.Aggregator`: any order and any shards give the same bytes. It adds vectors
    (`fedau2.wire.secure.layout`), which show nothing while they are masked. So nothing is checked before all are added.

    Args:
        task: checked manifest with a policy of secure sums.
    """

    def __init__(self, task: TaskManifest) -> None:
        self._policy, self._layout = task.secure_sums, Layout.of(task)
        self._most = policies.largest_cohort(self._policy.modulus_bits, self._policy.value_bits)
        self._total = np.zeros(self._layout.size, np.uint32)
        self._members = 0
        self._opened = False

    def add(self, vector: NDArray[np.integer]) -> None:
        """Adds the vector of one device, modulo 2^b.

        Raises:
            AggregationError: it has another length, or the sum has no room for one more.
        """
        if vector.shape != self._total.shape:
            raise AggregationError(f"a vector of shape {vector.shape}, where vectors have {self._total.shape}")
        self._expect_room(self._members + 1)
        self._total += vector.astype(np.uint32, copy=False)  # 2^b divides 2^32, so wrapping around is right
        self._members += 1

    def add_packed(self, payload: bytes) -> None:
        """Adds the vector of one device as it travels.

        Raises:
            ContributionError: it is not as long as it must be.
            AggregationError: the sum has no room for one more.
        """
        self._expect_room(self._members + 1)
        packing.add(self._total, payload, self._policy.modulus_bits)
        self._members += 1

    def add_numbers(self, numbers: Mapping[str, Numbers], devices: int) -> None:
        """Adds the vectors of some devices, which are not made one by one; see `quantise.add`.

        Raises:
            ContributionError: a number is not finite.
            AggregationError: the sum has no room for so many more.
        """
        self._expect_room(self._members + devices)
        quantise.add(self._total, numbers, devices, self._policy, self._layout)
        self._members += devices

    def subtract_packed(self, payload: bytes) -> None:
        """Takes the vector of one device, which was added, out again.

        Raises:
            ContributionError: it is not as long as it must be.
        """
        packing.subtract(self._total, payload, self._policy.modulus_bits)
        self._members -= 1

    def head(self) -> bytes:
        """Returns the head of the sum of masked vectors, packed, as the unmasker needs it."""
        return packing.pack(self._total[self._layout.head], self._policy.modulus_bits)

    def open(self, masks: NDArray[np.uint32], closed: NDArray[np.bool_]) -> None:
        """Takes the sum of the masks off the sum of masked vectors, and sets to 0 what stays closed.

        Args:
            masks: of shape (layout.size,), modulo 2^b, with 0 in every closed place.
            closed: True for the catalogue rows and tensors that stay closed, of shape (items + tensors,).
        """
        self._total -= masks
        self._total[closing.closed_places(self._layout, self._policy, closed)] = 0
        self._opened = True

    def merge(self, other: "SecureSum") -> None:
        """Adds a shard.

        Raises:
            AggregationError: the sum has no room for it.
        """
        self._expect_room(self._members + other._members)
        self._total += other._total
        self._members += other._members

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """Returns, per tensor that a device carries, the mean over the devices that carry it.

        With noise nobody knows who carries a tensor, so every tensor has a mean over all devices.

        Rows that fewer devices than the policy's threshold touched are 0, as are untouched ones. Tensors that too few
        devices carry have no mean (`closing.withheld`).

        Raises:
            ImplausibleSumError: the vectors cannot be those of honest devices. No step may be taken.
        """
        total = self.total()
        self._expect_plausible(total)
        if not self._opened and not self._policy.noise_multiplier:  # an unmasker has closed them already
            closing.close(total, self._layout, closing.withheld(total, self._layout, self._policy.row_threshold))
        grids, counts = policies.grids(self._policy), self._counts(total)
        return {
            name: np.ldexp(total[place].astype(np.float64) / counts[name], -grids[name].exponent).reshape(
                self._layout.shapes[name]
            )
            for name, place in self._layout.tensors.items()
            if counts[name]
        }

    def variances(self) -> dict[str, float]:
        """Returns the variance of the noise on each number of the mean, by tensor; empty without noise."""
        if not self._policy.noise_multiplier:
            return {}
        grids, members = policies.grids(self._policy), self._members
        return {
            name: math.ldexp(deviation / members, -grids[name].exponent) ** 2
            for name, deviation in policies.deviations(self._policy).items()
        }

    def remembered(self) -> Tensors:
        """Returns nothing, because no norm is known."""
        return {}

    def total(self) -> NDArray[np.int64]:
        """Returns the sum of the vectors, decoded: between -2^(b-1) and 2^(b-1)."""
        bits = self._policy.modulus_bits
        out = (self._total & np.uint32(2**bits - 1)).astype(np.int64)
        out[out >= 2 ** (bits - 1)] -= 2**bits
        return out

    def reset(self) -> None:
        """Starts again with nothing added."""
        self._total.fill(0)
        self._members, self._opened = 0, False

    def _counts(self, total: NDArray[np.int64]) -> dict[str, int]:
        """Returns the number of devices that the mean of each tensor is over."""
        if self._policy.noise_multiplier:
            return dict.fromkeys(self._layout.tensors, self._members)
        return dict(zip(self._layout.tensors, total[self._layout.carried].tolist(), strict=True))

    def _expect_room(self, members: int) -> None:
        if members > self._most:
            raise AggregationError(f"a sum of this task has room for {self._most} contributions, and {members} came")

    def _expect_plausible(self, total: NDArray[np.int64]) -> None:
        """Checks that honest vectors can have the sum.

        Garbage modulo 2^b leaves the quarter of the range that honest sums use in three of four words. A liar who stays
        within all of this can make it many times as long: these bounds are those of vectors that all point one way.
        """
        layout, members = self._layout, self._members
        if total[: len(CANARY)].tolist() != [members * word for word in CANARY]:
            raise ImplausibleSumError(f"the canary words of the sum are not those of {members} contributions")
        flags = total[len(CANARY) : layout.touched.stop]
        if flags.size and (flags.min() < 0 or flags.max() > members):
            raise ImplausibleSumError(f"a count of the sum lies outside 0 to {members}")
        grids, largest = policies.grids(self._policy), policies.largest_value(self._policy)
        counts, deviations = self._counts(total), policies.deviations(self._policy)
        for name, place in layout.tensors.items():
            integers, count, noise = total[place], counts[name], deviations[name]
            if int(np.abs(integers).max()) > count * largest + policies.NOISE_ROOM * noise:
                raise ImplausibleSumError(
                    f"{name}: a number of the sum is larger than {count} contributions can make it"
                )
            # The norm of noise is near the root of its numbers, and farther off by deviations as seldom as one number.
            most = count * grids[name].clip + math.ceil(noise * (math.sqrt(integers.size) + policies.NOISE_ROOM))
            if square_sum(integers) > most**2:
                norm = math.sqrt(square_sum(integers))
                raise ImplausibleSumError(
                    f"{name}: the sum has a norm of {norm:.0f}, and {count} contributions can have at most {most}"
                )
