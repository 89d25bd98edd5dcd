"""The sum of a round with secure sums: of masked vectors, which shows nothing until an unmasker has opened it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.aggregation.secure_sum import SecureSum
from coordinator.engine.round_sum import ReadState, Record
from coordinator.model.task import Content, TaskSpec
from coordinator.store.round_log import Location
from fedau2.v1.admin_pb2 import ContributionNorms
from fedau2.v1.unmasker_pb2 import SumMember
from fedau2.wire.blobs import Tensors
from fedau2.wire.secure import closing, masked, packing
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.masked import Masked


@dataclass(frozen=True)
class Frozen:
    """A set of contributions whose sum is to be opened.

    Attributes:
        members: in ascending order of their leases.
        head: the sum of their masked heads, packed.
    """

    members: tuple[SumMember, ...]
    head: bytes


class HiddenSum:
    """A `RoundSum` of masked vectors, with what the unmasker needs of each.

    Args:
        population: of the task.
        spec: the task's fixed rules.
    """

    def __init__(self, population: str, spec: TaskSpec) -> None:
        self.population = population
        self._layout, self._policy = Layout.of(spec.manifest), spec.manifest.secure_sums
        self._total = SecureSum(spec.manifest)
        self._members: dict[bytes, SumMember] = {}
        self._records: dict[bytes, Record] = {}
        self._clipped: dict[str, int] = {}

    def add(self, record: Record, content: Content) -> dict[str, float]:
        """As `RoundSum.add`. Nothing is known of its norms."""
        assert isinstance(content, Masked)
        self._total.add_packed(content.packed)
        lease = record.assignment_id
        canary = content.canary(self._policy.modulus_bits)
        self._members[lease] = SumMember(lease=lease, digest=content.digest, canary=canary, sealed=content.sealed)
        self._records[lease] = record
        return {}

    def refuse(self, assignment_id: bytes, read: Callable[[Location, bytes], bytes]) -> None:
        """Takes a contribution out again.

        Args:
            assignment_id: of its assignment.
            read: reads a contribution of the round's log, by its location and its hash.
        """
        record = self._records.pop(assignment_id)
        del self._members[assignment_id]
        content = masked.read(read(record.location, record.sha256), self._layout, self._policy.modulus_bits)
        self._total.subtract_packed(content.packed)

    def frozen(self) -> Frozen:
        """Returns what the unmasker is shown."""
        return Frozen(tuple(member for _, member in sorted(self._members.items())), self._total.head())

    def open(self, masks: bytes, withheld: bytes) -> None:
        """Opens the sum.

        Args:
            masks: the packed sum of the masks, as the unmasker answered it.
            withheld: see `OpenedSum`.
        """
        words = packing.unpack(masks, self._layout.size, self._policy.modulus_bits)
        self._total.open(words, closing.read(withheld, self._layout))

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """As `RoundSum.mean`, of a sum that has been opened."""
        mean = self._total.mean()
        if not self._policy.noise_multiplier:
            counts = self._total.total()[self._layout.clipped].tolist()
            self._clipped = dict(zip(self._layout.shapes, counts, strict=True))
        return mean

    def variances(self) -> dict[str, float]:
        """As `RoundSum.variances`."""
        return self._total.variances()

    def statistics(self) -> ContributionNorms:
        """As `RoundSum.statistics`: no norm is known, and after `mean` how many contributions were clipped."""
        return ContributionNorms(clipped=self._clipped)

    def remembered(self) -> Tensors:
        """As `RoundSum.remembered`: nothing, because no norm is known."""
        return self._total.remembered()

    def begin(self, state: ReadState) -> None:
        """As `RoundSum.begin`. The state says nothing to it."""
        self._total.reset()
        self._members.clear()
        self._records.clear()
        self._clipped = {}
