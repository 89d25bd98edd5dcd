"""A task's values: the bundle that makes it, the rules that its uploads must follow, and one contribution."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from coordinator.model.closing import Rule
from fedau2.v1.admin_pb2 import CreateTaskHeader
from fedau2.v1.task_pb2 import ClosingRule, TaskManifest
from fedau2.wire import contributions, fixed, manifest, staleness
from fedau2.wire.contributions import Decoder, Update
from fedau2.wire.secure import masked
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.masked import Masked

Content = dict[str, Update] | Masked
"""The content of a contribution: its updates by tensor or, with secure sums, a masked vector."""


@dataclass(frozen=True, eq=False)
class Contribution:
    """A contribution that has been checked.

    Attributes:
        data: the bytes as the device sent them.
        sha256: their hash.
        content: the same, read.
    """

    data: bytes
    sha256: bytes
    content: Content


@dataclass(frozen=True, eq=False)
class TaskSpec:
    """The fixed rules of a task, from its manifest and its closing rule.

    Attributes:
        manifest: the checked manifest.
        closing: the checked closing rule, as the operator sent it.
        rule: the same rule, as rounds use it.
        bound: largest absolute value that a contribution may have.
        largest: most bytes of a contribution.
        decode: reads and checks a contribution.
    """

    manifest: TaskManifest
    closing: ClosingRule
    rule: Rule
    bound: float
    largest: int
    decode: Callable[[bytes], Content]

    @property
    def hidden(self) -> bool:
        """The task has secure sums."""
        return self.rule.hidden

    @classmethod
    def of(cls, task: TaskManifest, closing: ClosingRule) -> "TaskSpec":
        """Derives the rules from a checked manifest and a checked closing rule."""
        shared, bound = manifest.shared(task), fixed.bound(closing.maximum)
        if task.HasField("secure_sums"):
            layout, bits = Layout.of(task), task.secure_sums.modulus_bits
            read = partial(masked.read, layout=layout, bits=bits)
            return cls(task, closing, Rule.of(closing, hidden=True), bound, masked.largest(layout, bits), read)
        largest = contributions.largest(shared.values())
        rule = Rule.of(closing, most_stale=task.plan.server.buffered.most_stale)
        return cls(task, closing, rule, bound, largest, Decoder(shared, bound))

    def weight(self, late: int) -> float:
        """Returns what a contribution is multiplied by that is some rounds late: 1 unless rounds are buffered."""
        server = self.manifest.plan.server
        return staleness.weight(late, server.buffered.staleness_exponent) if server.HasField("buffered") else 1.0


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that can be run.

    Attributes:
        header: as the operator sent it.
        spec: from its manifest and closing rule, both checked.
        blobs: the blobs that the manifest names, by SHA-256.
    """

    header: CreateTaskHeader
    spec: TaskSpec
    blobs: dict[bytes, bytes]
