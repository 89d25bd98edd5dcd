"""The tasks and contributions of the benchmarks: realistic shapes, and values drawn from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from coordinator.model.pace import duration
from fedau2.v1 import task_pb2, tensors_pb2
from fedau2.v1.admin_pb2 import BlobPart, CreateTaskHeader, CreateTaskRequest
from fedau2.v1.device_pb2 import UploadContributionRequest, UploadHeader
from fedau2.v1.task_pb2 import ClosingRule, Optimizer, Plan, TaskManifest
from fedau2.v1.tensors_pb2 import Initializer, TensorSpec
from fedau2.wire import blobs, contributions, manifest
from fedau2.wire.contributions import Rows, Update

ITEMS = 1682
"""Rows of the item tables: the number of films in MovieLens 100K."""

_DAY = duration(86_400)
_GOAL = 100_000
"""A goal that no benchmark reaches, so that no commit is in any figure."""

_POOL = 32
"""Number of different contributions to a task."""


@dataclass(frozen=True)
class Model:
    """The tensors of a task, and the rows that a device touches.

    Attributes:
        name: name of the model and of its population.
        tables: row widths of the tables, by name.
        dense: shapes of the other tensors, by name.
        rows: rows of each table that one contribution carries.
    """

    name: str
    tables: dict[str, int]
    dense: dict[str, tuple[int, ...]]
    rows: int

    def specs(self) -> list[TensorSpec]:
        """Lists the tensors that are aggregated."""
        shapes = {name: (ITEMS, width) for name, width in self.tables.items()} | self.dense
        return [
            TensorSpec(
                name=name,
                shape=shape,
                dtype=tensors_pb2.DTYPE_FLOAT32,
                kind=tensors_pb2.TENSOR_KIND_TABLE if name in self.tables else tensors_pb2.TENSOR_KIND_DENSE,
                scope=tensors_pb2.TENSOR_SCOPE_SHARED,
                initializer=Initializer(distribution=tensors_pb2.DISTRIBUTION_ZEROS),
            )
            for name, shape in shapes.items()
        ]

    def task(self) -> Iterator[CreateTaskRequest]:
        """Makes the requests that create a task of one round, which no benchmark fills."""
        tensors = {spec.name: np.zeros(tuple(spec.shape), np.float32) for spec in self.specs()}
        checkpoint, catalogue = blobs.pack(tensors), "\n".join(map(str, range(ITEMS))).encode()
        closing = ClosingRule(goal=_GOAL, minimum=_GOAL, maximum=_GOAL, deadline=_DAY, lease=_DAY)
        header = CreateTaskHeader(population=self.name, rounds=1, closing=closing)
        header.manifest = self._manifest(checkpoint, catalogue).SerializeToString(deterministic=True)
        yield CreateTaskRequest(header=header)
        for data in (checkpoint, catalogue):
            for piece in blobs.chunks(data):
                yield CreateTaskRequest(blob=BlobPart(sha256=blobs.sha256(data), data=piece))

    def _manifest(self, checkpoint: bytes, catalogue: bytes) -> TaskManifest:
        sgd = Optimizer(kind=task_pb2.OPTIMIZER_KIND_SGD, learning_rate=0.1)
        local = task_pb2.LocalUpdate(steps=1, negatives=4, chunk=128, private_learning_rate=0.01)
        return TaskManifest(
            format=manifest.FORMAT,
            model="fedncf",
            tensors=self.specs(),
            plan=Plan(local=local, server=task_pb2.ServerStep(shared=sgd)),
            items=ITEMS,
            catalogue=blobs.resource(catalogue),
            checkpoint=blobs.resource(checkpoint),
        )

    def contribution(self, seed: int) -> bytes:
        """Makes a contribution of every dense tensor and some rows of every table."""
        generator = np.random.default_rng(seed)
        updates: dict[str, Update] = {
            name: generator.standard_normal(shape, np.float32) for name, shape in self.dense.items()
        }
        rows = np.sort(generator.choice(ITEMS, self.rows, replace=False))
        for name, width in self.tables.items():
            updates[name] = Rows(rows, generator.standard_normal((self.rows, width), np.float32))
        return contributions.encode(updates)

    def payloads(self) -> "list[Payload]":
        """Makes different contributions, ready to be sent in chunks."""
        return [Payload.of(self.contribution(seed), blobs.CHUNK) for seed in range(_POOL)]


SMALL = Model(
    "small",
    tables={"item_mlp": 32},
    dense={
        "mlp.0.weight": (32, 64),
        "mlp.0.bias": (32,),
        "mlp.1.weight": (16, 32),
        "mlp.1.bias": (16,),
        "output.weight": (16,),
        "output.bias": (1,),
    },
    rows=70,
)
"""FedNCF of widths 32-16 without an adversary; a contribution has 20 KB."""

PAPER = Model(
    "paper",
    tables={"item_gmf": 32, "item_mlp": 128},
    dense={
        "mlp.0.weight": (128, 256),
        "mlp.0.bias": (128,),
        "mlp.1.weight": (64, 128),
        "mlp.1.bias": (64,),
        "mlp.2.weight": (32, 64),
        "mlp.2.bias": (32,),
        "output.weight": (64,),
        "output.bias": (1,),
        "adversary.gender.hidden.weight": (100, 32),
        "adversary.gender.hidden.bias": (100,),
        "adversary.gender.head.weight": (4, 100),
    },
    rows=58,
)
"""FedNCF of the paper's widths with its adversary; a contribution has 226 KB."""

MOST_BYTES = contributions.largest(PAPER.specs())
"""Most bytes of a contribution."""


@dataclass(frozen=True)
class Payload:
    """A contribution, cut into messages.

    Attributes:
        size: bytes of the contribution.
        sha256: hash of the contribution.
        pieces: the serialised messages after the header. The header names the assignment and is made later.
    """

    size: int
    sha256: bytes
    pieces: tuple[bytes, ...]

    @classmethod
    def of(cls, data: bytes, piece: int) -> "Payload":
        """Cuts a contribution into pieces of `piece` bytes."""
        parts = (data[start : start + piece] for start in range(0, len(data), piece))
        messages = tuple(UploadContributionRequest(data=part).SerializeToString() for part in parts)
        return cls(len(data), blobs.sha256(data), messages)

    def header(self, assignment_id: bytes) -> bytes:
        """Makes the first message of an upload."""
        header = UploadHeader(assignment_id=assignment_id, size=self.size, sha256=self.sha256)
        return UploadContributionRequest(header=header).SerializeToString()
