"""Vectors of whole local updates: from a bundle and a client's data to the bytes of the contribution."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from client_sdk.onnx.onnx_engine import OnnxEngine
from client_sdk.protocol import defences
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.values import ClientData, Job, PrivateState, TrainingResult
from fedau2.wire import contributions
from scripts.conformance import tasks
from scripts.conformance.arrays import Json, array, data
from scripts.conformance.drawing import KEYS

BOUND = 4194304.0
ROUNDS = (3, 6)
INTERACTIONS = np.array([1, 2, 3, 5, 8, 13, 21, 34, 39], np.int64)
WEIGHTS = np.array([0.3, 1, 3, 1, 0.5, 2, 1, 1, 0.1], np.float32)
LABELS = {"gender": 1, "age": 2}
_CLIENTS: tuple[tuple[dict[str, int], NDArray[np.float32] | None], ...] = (
    (LABELS, None),
    ({"gender": 0}, None),
    ({}, None),
    ({"gender": 1}, WEIGHTS),
)
"""Labels by adversary, and the weights of the interactions if the plan has some."""


def vectors() -> Json:
    """Returns two rounds in a row of some clients of each bundle."""
    return {"bound": BOUND, "updates": [update for name in tasks.PLANS for update in _updates(tasks.read(name))]}


def _updates(bundle: tasks.Bundle) -> Iterator[Json]:
    engine = OnnxEngine()
    for number, (known, weights) in enumerate(_CLIENTS):
        key, task_key = KEYS[0], bytes([number, *KEYS[1][1:]])
        labels = {name: label for name, label in known.items() if name in _adversaries(bundle)}
        state = initial_state(bundle.task, task_key)
        for round_number in ROUNDS if weights is None else ROUNDS[:1]:
            client = ClientData(task_key, INTERACTIONS, labels, state, weights)
            result = _trained(engine, bundle, round_number, client)
            defended = defences.defend(bundle.task, result.contribution, task_key, round_number, key)
            yield {
                "bundle": bundle.name,
                "key": data(key),
                "task_key": data(task_key),
                "round": round_number,
                "labels": labels,
                "interactions": array(INTERACTIONS),
                "weights": None if weights is None else array(weights),
                "before": _state(state),
                "after": _state(result.state),
                "trained": data(contributions.encode(result.contribution)),
                "contribution": data(contributions.encode(contributions.clip(defended, BOUND))),
            }
            state = result.state


def _trained(engine: OnnxEngine, bundle: tasks.Bundle, round_number: int, client: ClientData) -> TrainingResult:
    task = bundle.task
    job = Job(task, task.checkpoint, bundle.blob(task.checkpoint), round_number, client, bundle.step())
    training = engine.begin(job)
    for _ in range(training.steps):
        training.step()
    return training.finish()


def _adversaries(bundle: tasks.Bundle) -> set[str]:
    return {adversary.name for adversary in bundle.task.plan.adversaries}


def _state(state: PrivateState) -> Json:
    return data(state.pack())
