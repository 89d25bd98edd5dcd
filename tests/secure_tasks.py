"""Manifests with a policy of secure sums, for tests."""

import math

from fedau2.v1.secure_pb2 import Grid, SecureSums
from fedau2.v1.task_pb2 import LocalUpdate, Optimizer, Plan, Resource, ServerStep, TaskManifest
from fedau2.v1.tensors_pb2 import Initializer, TensorSpec
from fedau2.wire.secure.policy import FEATURE

SHAPES = {"table": (5, 3), "other": (5, 2), "dense": (4,)}
_NORMAL = Initializer(distribution=2, scale=0.01)
_SGD = Optimizer(kind=1, learning_rate=0.1)


def spec(name):
    kind = 1 if name == "dense" else 2
    return TensorSpec(name=name, shape=SHAPES[name], dtype=1, kind=kind, scope=1, initializer=_NORMAL)


def policy(modulus_bits=24, value_bits=14, minimum=64, exponent=10, clip=2**12, **others):
    grids = [Grid(tensor=name, exponent=exponent, clip=clip) for name in sorted(SHAPES)]
    fields = {"version": 1, "modulus_bits": modulus_bits, "value_bits": value_bits, "minimum": minimum, **others}
    return SecureSums(**{"grids": grids, **fields})


def noisy():
    share = math.sqrt(1 / len(SHAPES))
    grids = [Grid(tensor=name, exponent=10, clip=2**12, noise_share=share) for name in sorted(SHAPES)]
    return policy(grids=grids, noise_multiplier=0.5, max_participations=6)


def task(sums=None):
    """A manifest with two tables, a dense tensor and a policy."""
    return TaskManifest(
        format=2,
        model="fedncf",
        items=5,
        tensors=[spec(name) for name in SHAPES],
        plan=Plan(
            local=LocalUpdate(steps=1, negatives=4, chunk=128, private_learning_rate=0.1),
            server=ServerStep(shared=_SGD),
        ),
        catalogue=Resource(sha256=bytes(32), size=1),
        checkpoint=Resource(sha256=bytes(32), size=1),
        required_features=[FEATURE],
        secure_sums=policy() if sums is None else sums,
    )
