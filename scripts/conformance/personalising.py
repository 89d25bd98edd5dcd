"""Vectors of personal steps: from a client's private state to the one after some steps."""

from collections.abc import Iterator, Sequence

from client_sdk.onnx.onnx_engine import OnnxEngine
from client_sdk.personalisation.steps import PersonalSteps
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.values import ClientData, Job
from fedau2.v1.task_pb2 import OBJECTIVE_CONFUSION
from scripts.conformance import tasks
from scripts.conformance.arrays import Json, array, data
from scripts.conformance.drawing import KEYS
from scripts.conformance.training import INTERACTIONS, LABELS, ROUNDS, WEIGHTS

_FIRST, _STEPS = 7, 3
_CASES = (("fedncf", False, ()), ("fedncf", True, ("gender",)), ("fedrap", True, ()))
"""Bundles, whether the plan has weights, and the adversaries that follow the objective `confusion`."""


def vectors() -> Json:
    """Returns some steps in a row of one client of each case."""
    return [step for case in _CASES for step in _steps(*case)]


def _steps(name: str, weighed: bool, confusing: Sequence[str]) -> Iterator[Json]:
    bundle, weights = tasks.read(name), WEIGHTS if weighed else None
    task = bundle.task
    for adversary in task.plan.adversaries:
        if adversary.name in confusing:
            adversary.objective = OBJECTIVE_CONFUSION
    labels = {adversary.name: LABELS[adversary.name] for adversary in task.plan.adversaries}
    client = ClientData(KEYS[1], INTERACTIONS, labels, initial_state(task, KEYS[1]), weights)
    job = Job(task, task.checkpoint, bundle.blob(task.checkpoint), ROUNDS[0], client, bundle.step())
    personal = PersonalSteps(OnnxEngine().load(job), ROUNDS[0], client)
    for number in range(_FIRST, _FIRST + _STEPS):
        before = personal.state
        personal.step(number)
        yield {
            "bundle": name,
            "confusing": confusing,
            "task_key": data(KEYS[1]),
            "round": ROUNDS[0],
            "number": number,
            "labels": labels,
            "interactions": array(INTERACTIONS),
            "weights": None if weights is None else array(weights),
            "before": data(before.pack()),
            "after": data(personal.state.pack()),
        }
