"""The part of a manifest that says how sums are made, checked against the key of a round."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.unmasker_pb2 import SignedRoundKey
from fedau2.wire import manifest
from fedau2.wire.errors import ContributionError, ManifestError
from fedau2.wire.identity import round_key
from fedau2.wire.secure import packing
from fedau2.wire.secure import policy as policies
from fedau2.wire.secure.layout import Layout
from unmasker.errors import InvalidRequestError, SmallSumError

_MOST_WORDS = 2**27
"""Most words of a vector; one of so many takes half a GiB, and noise four more."""


@dataclass(frozen=True)
class SumTask:
    """The rules by which the sums of a task are made.

    Attributes:
        policy: checked; the one of the round's key.
        layout: of the vectors.
        separation: fewest rounds between two contributions of a device.
    """

    policy: SecureSums
    layout: Layout
    separation: int

    def check_number(self, members: int) -> None:
        """Returns if a sum may have so many members.

        Raises:
            SmallSumError: they are too few.
            InvalidRequestError: they are too many.
        """
        if members < self.policy.minimum:
            raise SmallSumError(
                f"{members} members are fewer than {self.policy.minimum}, the policy's minimum: wait for more"
            )
        most = policies.largest_cohort(self.policy.modulus_bits, self.policy.value_bits)
        if members > most:
            raise InvalidRequestError(f"{members} members are more than {most}, for which the modulus has room")

    def head(self, data: bytes) -> NDArray[np.uint32]:
        """Returns the words of a masked head, each below 2^b.

        Raises:
            InvalidRequestError: it is not one of this task.
        """
        try:
            return packing.unpack(data, self.layout.head.stop, self.policy.modulus_bits)
        except ContributionError as error:
            raise InvalidRequestError(f"the masked head is not one of this task: {error}") from error


def read(data: bytes, key: SignedRoundKey, identity: bytes) -> SumTask:
    """Reads a serialised manifest.

    Args:
        data: the manifest.
        key: of the round.
        identity: the unmasker's identity key.

    Raises:
        InvalidRequestError: it is not that of the round, or its policy does not name this unmasker.
    """
    if hashlib.sha256(data).digest() != key.manifest:
        raise InvalidRequestError("the manifest is not the one that the round was opened for")
    try:
        task = manifest.parse(data)
    except ManifestError as error:
        raise InvalidRequestError(f"the round's manifest cannot be used: {error}") from error
    if round_key.policy_hash(task.secure_sums.SerializeToString(deterministic=True)) != key.policy:
        raise InvalidRequestError("the manifest's policy is not the one that the round was opened for")
    if identity not in task.secure_sums.unmaskers:
        raise InvalidRequestError("the policy does not name this unmasker: build the task for its key")
    layout = Layout.of(task)
    if layout.size > _MOST_WORDS:
        raise InvalidRequestError(f"vectors of {layout.size} words are too long: at most {_MOST_WORDS} are added up")
    return SumTask(task.secure_sums, layout, task.plan.minimum_separation)
