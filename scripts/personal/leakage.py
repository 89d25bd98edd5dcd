"""Measures how much contributions and private state tell with personal steps.

Two designs are compared. In `apart` a device keeps its personal state apart, and contributions start from the promoted
state. In `joined` each contribution starts from a state that has just taken personal steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from client_sdk.kernel.training import Task
from fedau2.wire.blobs import Tensors
from scripts.personal.crowd import Crowd, personalise
from simulator.attacks.contract import Spec
from simulator.audit import registry, scores
from simulator.audit.runner import Finding, Runner
from simulator.audit.scores import Score
from simulator.audit.view import Watch, Watching, known
from simulator.evaluation.attacked_states import narrow
from simulator.evaluation.attacked_users import balanced
from simulator.population.population import Members, Population

UPLOADS = ("idlg", "sign", "magnitude", "matched", "embedding", "embedding-strong", "gate", "pulls", "membership")
"""The attacks on contributions: those that search for hours are left out."""

PARTICIPATIONS = (1, 5)


@dataclass(frozen=True)
class Trained:
    """A crowd that has been trained.

    Attributes:
        crowd: as above.
        population: its clients after the last round.
        checkpoint: the last one.
        findings: of the attacks on the contributions.
        ndcg: NDCG@10 of the test items.
    """

    crowd: Crowd
    population: Population
    checkpoint: Tensors
    findings: Sequence[Finding]
    ndcg: float


def train(crowd: Crowd, steps: int, watched: int, splits: int) -> Trained:
    """Trains a crowd whose contributions start from states that have just taken personal steps; attacks them.

    Args:
        crowd: the clients.
        steps: personal steps before each contribution; 0 is the design `apart`, whatever its devices do for themselves.
        watched: clients of each class that are attacked, at most.
        splits: of attackers that learn.
    """
    manifest, population = crowd.bundle.manifest, crowd.population()
    engine, everyone = crowd.engine(population), np.arange(len(crowd.labels))
    members = np.sort(balanced(crowd.labels, np.random.default_rng(crowd.setting.seed), watched))
    others = np.setdiff1d(everyone[crowd.labels >= 0], members)
    specs = [each for each in registry.chosen(UPLOADS) if _can_run(each, crowd)]
    public = known(Task.load(manifest, engine.checkpoint), population, others, 0)
    watch = Watch(population, members, others, public)
    recorded = np.zeros((len(members), manifest.items), np.bool_)
    for row, member in zip(recorded, members, strict=True):
        row[population.interactions[member]] = True
    runner = Runner(specs, manifest, recorded, PARTICIPATIONS, public, crowd.setting.seed, splits)
    taken = 0

    def before(number: int, cohort: Members) -> None:
        nonlocal taken
        task = Task.load(manifest, engine.checkpoint)
        personalise(population, task, number, cohort, range(taken, taken + steps))
        taken += steps

    checkpoint = crowd.train(Watching(engine, manifest, watch, runner), everyone, before if steps else _nothing)
    ranks = crowd.ranks(checkpoint, population, everyone)
    return Trained(crowd, population, checkpoint, runner.findings(), ranks.metrics()["ndcg@10"])


def _nothing(number: int, cohort: Members) -> None:
    pass


def _can_run(spec: Spec, crowd: Crowd) -> bool:
    task = crowd.bundle.manifest
    return any(spec.runs(task, target) for target in spec.targets(task))


def thief(trained: Trained, attacker: str, splits: int) -> Score:
    """Reads the attribute from all private state of the clients, as a thief of devices would."""
    features = narrow([column for _, column in sorted(trained.population.state.values.items())])
    seed = trained.crowd.setting.seed
    return scores.learned(features, trained.crowd.labels, attacker, trained.crowd.classes, splits, seed)


def personal(trained: Trained, steps: Sequence[int], fresh: bool, unlearn: bool) -> list[Trained]:
    """Personal states on the last checkpoint, after numbers of steps, in the design `apart`.

    Args:
        trained: the crowd.
        steps: increasing.
        fresh: True for devices that never contributed; False for those that trained the model.
        unlearn: as in `personalise`.
    """
    crowd, out = trained.crowd, []
    population = crowd.population(crowd.setting.seed + 1) if fresh else crowd.population()
    everyone = np.arange(len(crowd.labels))
    if not fresh:
        population.put(everyone, trained.population.take(everyone))
    task, taken = Task.load(crowd.bundle.manifest, trained.checkpoint), 0
    for goal in steps:
        personalise(population, task, crowd.setting.rounds, everyone, range(taken, goal), unlearn)
        taken = goal
        copy = crowd.population()
        copy.put(everyone, population.take(everyone))
        ndcg = crowd.ranks(trained.checkpoint, copy, everyone).metrics()["ndcg@10"]
        out.append(Trained(crowd, copy, trained.checkpoint, (), ndcg))
    return out
