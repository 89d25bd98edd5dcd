"""Measures how personal steps help devices that never took part in training, and how much they cost them.

The users are divided into folds. A model is trained with all folds but one, and the users of that fold are new devices
on it. So every user is measured once, on a model that has seen none of their interactions.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from client_sdk.onnx.graph import Graph
from client_sdk.onnx.onnx_training import GraphTask
from client_sdk.onnx.step_graph import outputs
from client_sdk.personalisation.steps import PersonalSteps
from client_sdk.protocol.values import ClientData
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP
from fedau2.wire import manifest
from fedau2.wire.blobs import Tensors
from scripts.personal.crowd import Crowd, Setting
from simulator.evaluation.ranking import Ranks, rank_all
from simulator.population import public_randomness
from simulator.population.population import Members, Population


@dataclass(eq=False)
class Row:
    """One row of the table.

    Attributes:
        what: the source of the recommendations.
        ranks: of the test items.
        seconds: wall-clock time of a personal step, for each step that was measured.
        cpu: processor time of it.
    """

    what: str
    ranks: Ranks
    seconds: Sequence[float] = ()
    cpu: Sequence[float] = ()


@dataclass(eq=False)
class _Steps:
    """The measurements of new devices: ranks by number of steps, and times of steps."""

    ranks: dict[int, list[Ranks]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def measure(setting: Setting, steps: Sequence[int], folds: int) -> list[Row]:
    """Measures popularity, new devices after numbers of personal steps, and a population that was trained together.

    Args:
        setting: the task.
        steps: numbers of personal steps, increasing.
        folds: parts into which the users are divided.
    """
    crowd = Crowd(setting)
    users = len(crowd.split.train)
    order = public_randomness.generator("folds", setting.seed).permutation(users)
    measured, popular, private = _Steps(), [], bool(manifest.private(crowd.bundle.manifest))
    for new in (np.sort(part) for part in np.array_split(order, folds)):
        taking_part = np.setdiff1d(np.arange(users), new)
        popular.append(_popularity(crowd, taking_part, new))
        checkpoint = crowd.train(crowd.engine(crowd.population()), taking_part)
        # Other keys: these devices have drawn nothing yet.
        devices = crowd.population(setting.seed + 1)
        _personal(crowd, checkpoint, devices, new, steps if private else [0], measured)
    together = crowd.population()
    checkpoint = crowd.train(crowd.engine(together), np.arange(users))
    rows = [Row("popularity", joined(popular))]
    for number, ranks in measured.ranks.items():
        rows.append(Row(f"{number} steps", joined(ranks), measured.seconds, measured.cpu))
    return [*rows, Row("trained together", crowd.ranks(checkpoint, together, np.arange(users)))]


def joined(parts: Sequence[Ranks]) -> Ranks:
    """The ranks of several groups of users."""
    return Ranks(np.concatenate([part.sampled for part in parts]), np.concatenate([part.full for part in parts]))


def _popularity(crowd: Crowd, counted: Members, members: Members) -> Ranks:
    counts = np.zeros(crowd.bundle.manifest.items, np.float32)
    for member in counted:
        counts[crowd.split.train[member]] += 1
    # Ties are broken by the row, so that a tie does not always count against the held-out item.
    scores = counts - np.arange(len(counts), dtype=np.float32) / (len(counts) + 1)
    split = crowd.split
    return rank_all(
        lambda users: np.tile(scores, (len(users), 1)),
        split.test[members],
        split.candidates(members)[1],
        crowd.seen(members),
    )


def _personal(
    crowd: Crowd, checkpoint: Tensors, devices: Population, members: Members, steps: Sequence[int], measured: _Steps
) -> None:
    training = dict(_trainings(crowd, checkpoint, devices, members)) if any(steps) else {}
    taken = 0
    for goal in steps:
        for member, personal in training.items():
            for number in range(taken, goal):
                began = (time.perf_counter(), time.process_time())
                personal.step(number)
                measured.seconds.append(time.perf_counter() - began[0])
                measured.cpu.append(time.process_time() - began[1])
            devices.put(np.array([member]), personal.state)
        taken = goal
        measured.ranks.setdefault(goal, []).append(crowd.ranks(checkpoint, devices, members))


def _trainings(
    crowd: Crowd, checkpoint: Tensors, devices: Population, members: Members
) -> Iterator[tuple[int, PersonalSteps]]:
    """The personal steps of devices, as the SDK takes them: by the training graph on ONNX Runtime, on one thread."""
    task, plan = crowd.bundle.manifest, crowd.bundle.manifest.plan
    (step,) = (graph.resource for graph in task.graphs if graph.kind == GRAPH_KIND_STEP)
    graph = Graph(crowd.bundle.blob(step), task, GRAPH_KIND_STEP, outputs=outputs(task))
    loaded = GraphTask.of(task, graph, checkpoint)
    for member in members.tolist():
        one = np.array([member])
        labels = {each.name: int(devices.labels(task, one)[each.name][0]) for each in plan.adversaries}
        known = {name: label for name, label in labels.items() if label >= 0}
        data = ClientData(devices.keys[member], devices.interactions[member], known, devices.take(one))
        yield member, PersonalSteps(loaded, crowd.setting.rounds, data)
