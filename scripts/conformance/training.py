"""Vectors of whole local updates: from a bundle and a client's data to the bytes of the contribution."""

from collections.abc import Iterator

import numpy as np

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
_INTERACTIONS = np.array([1, 2, 3, 5, 8, 13, 21, 34, 39], np.int64)
_LABELS: tuple[dict[str, int], ...] = ({"gender": 1, "age": 2}, {"gender": 0}, {})


def vectors() -> Json:
    """Returns two rounds in a row of some clients of each bundle."""
    return {"bound": BOUND, "updates": [update for name in tasks.PLANS for update in _updates(tasks.read(name))]}


def _updates(bundle: tasks.Bundle) -> Iterator[Json]:
    engine = OnnxEngine()
    for number, known in enumerate(_LABELS):
        key, task_key = KEYS[0], bytes([number, *KEYS[1][1:]])
        labels = {name: label for name, label in known.items() if name in _adversaries(bundle)}
        state = initial_state(bundle.task, task_key)
        for round_number in ROUNDS:
            client = ClientData(task_key, _INTERACTIONS, labels, state)
            result = _trained(engine, bundle, round_number, client)
            defended = defences.defend(bundle.task, result.contribution, task_key, round_number, key)
            yield {
                "bundle": bundle.name,
                "key": data(key),
                "task_key": data(task_key),
                "round": round_number,
                "labels": labels,
                "interactions": array(_INTERACTIONS),
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
