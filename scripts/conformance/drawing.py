"""Vectors of everything that a device draws from its secret key."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_sdk import draws
from client_sdk.draws import Samples, Stream
from client_sdk.plan import AdversaryPlan, LocalPlan
from fedau2.v1 import task_pb2
from fedau2.v1.task_pb2 import OBJECTIVE_REVERSAL as REVERSAL
from fedau2.v1.tensors_pb2 import (
    DISTRIBUTION_NORMAL,
    DISTRIBUTION_UNIFORM,
    DISTRIBUTION_ZEROS,
    Initializer,
    TensorSpec,
)
from scripts.conformance import ziggurat
from scripts.conformance.arrays import Json, array, data

KEYS = (bytes(range(16)), bytes(range(240, 256)))
_ROUNDS = (0, 7, 2**32 + 5)
_NUMBERS = 700  # among them some of the edges of layers
INTERACTIONS = np.array([0, 3, 4, 8, 21, 22, 23, 37, 55, 63, 64, 80, 99], np.int64)


def vectors() -> Json:
    """Returns the vectors by the names of their parts."""
    return {
        "ziggurat": {name: array(values) for name, values in ziggurat.tables().items()},
        "streams": [*_streams()],
        "initial": [*_initial()],
        "contrasts": [*_contrasts()],
        "whole": [*_whole()],
        "noise": [*_noise()],
    }


def _streams() -> Iterator[Json]:
    for key in KEYS:
        for number in _ROUNDS:
            place = {"key": data(key), "round": number, "stream": int(Stream.NOISE)}
            yield {**place, "words": array(draws.generator(key, number, Stream.NOISE).bit_generator.random_raw(9))}
            made: dict[str, NDArray[Any]] = {
                "normal": draws.generator(key, number, Stream.NOISE).standard_normal(_NUMBERS, np.float32),
                "float32": draws.generator(key, number, Stream.NOISE).random(33, np.float32),
                "float64": draws.generator(key, number, Stream.NOISE).random(33),
                "permutation": draws.generator(key, number, Stream.NOISE).permutation(101),
                "bounded": draws.generator(key, number, Stream.NOISE).integers(0, 3_000_000_000, 33),
            }
            yield from ({**place, "method": name, "numbers": array(numbers)} for name, numbers in made.items())
            yield {**place, "method": "mixed", "numbers": array(_mixed(key, number))}


def _mixed(key: bytes, number: int) -> NDArray[np.float64]:
    """Five numbers of each of float32, float64, float32: the second half of a word outlasts whole words."""
    rng = draws.generator(key, number, Stream.NOISE)
    return np.concatenate([rng.random(5, np.float32), rng.random(5), rng.random(5, np.float32)])


def _initial() -> Iterator[Json]:
    specs = [
        TensorSpec(name="a", shape=[3, 5], initializer=Initializer(distribution=DISTRIBUTION_NORMAL, scale=0.01)),
        TensorSpec(name="b", shape=[4], initializer=Initializer(distribution=DISTRIBUTION_ZEROS)),
        TensorSpec(name="c", shape=[2, 2, 3], initializer=Initializer(distribution=DISTRIBUTION_UNIFORM, scale=0.3)),
    ]
    for key in KEYS:
        values = draws.initial(specs, key)
        yield {
            "key": data(key),
            "specs": [data(spec.SerializeToString(deterministic=True)) for spec in specs],
            "values": {name: array(value) for name, value in values.items()},
        }


def _contrasts() -> Iterator[Json]:
    for key, steps, negatives, chunk in ((KEYS[0], 1, 4, 128), (KEYS[1], 1, 4, 16), (KEYS[0], 3, 2, 5)):
        local = LocalPlan(steps, negatives, chunk)
        rng = draws.generator(key, 11, Stream.SAMPLES)
        yield {
            "key": data(key),
            "round": 11,
            "items": 100,
            "steps": steps,
            "negatives": negatives,
            "chunk": chunk,
            "interactions": array(INTERACTIONS),
            "samples": [samples(step) for step in draws.samples(INTERACTIONS, 100, local, rng)],
        }


def _whole() -> Iterator[Json]:
    for key, steps, dropout, noise in ((KEYS[0], 1, 0.5, 7), (KEYS[1], 2, 0.0, 3), (KEYS[1], 2, 0.3, 0)):
        drawn = draws.whole(LocalPlan(steps, 1, 1), INTERACTIONS, key, 5, dropout=dropout, noise=noise)
        yield {
            "key": data(key),
            "round": 5,
            "steps": steps,
            "dropout": dropout,
            "noise": noise,
            "interactions": array(INTERACTIONS),
            "samples": [samples(step) for step in drawn],
        }


def samples(step: Samples) -> Json:
    """Returns the samples of one local step."""
    return {name: array(getattr(step, name)) for name in ("items", "labels", "weights", "noise")}


def _noise() -> Iterator[Json]:
    adversaries = [
        AdversaryPlan("a", 2, ("p",), task_pb2.HEAD_DSVAE, task_pb2.TRIGGER_SUT, REVERSAL, variance=4.0),
        AdversaryPlan("b", 7, ("p",), task_pb2.HEAD_VAE, task_pb2.TRIGGER_OFF, REVERSAL),
        AdversaryPlan("c", 3, ("p",), task_pb2.HEAD_SCALAR, task_pb2.TRIGGER_OFF, REVERSAL, variance=0.7),
    ]
    for key in KEYS:
        made = draws.noise(adversaries, 2, draws.generator(key, 3, Stream.NOISE))
        plans = [{"name": a.name, "classes": a.classes, "head": a.head, "variance": a.variance} for a in adversaries]
        yield {
            "key": data(key),
            "round": 3,
            "steps": 2,
            "adversaries": plans,
            "values": {name: array(values) for name, values in made.items()},
        }
