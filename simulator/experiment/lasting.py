"""Attacks the state of a finished run, lets everybody train on, and attacks it again, to see what lasts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_sdk.protocol.values import PrivateState
from fedau2.v1.task_pb2 import TaskManifest
from simulator import gpu
from simulator.datasets import Attribute
from simulator.engines.batched import BatchedEngine
from simulator.errors import TooFewUsersError
from simulator.evaluation.attack_results import Largest
from simulator.evaluation.attacked_outputs import Outputs
from simulator.evaluation.attacked_states import AttackedStates
from simulator.evaluation.attackers import LIGHT, attack
from simulator.experiment import after_training, assembly
from simulator.experiment.after_training import Measured
from simulator.experiment.asked import Asked
from simulator.experiment.train import Trained
from simulator.experiment.trainer import Progress
from simulator.population.population import Population

STATE, LISTS, SCORES, CHANGE = "state", "top50", "scores", "change"
"""The targets of attacks: all private state, or the embedding where nothing is private, and outputs. If the plan has an
eraser, `CHANGE` is how far the state that a device shows has moved since the first look. The device did not train in
between, so the maps alone have moved it."""

EVERYBODY, LATE, UNKNOWN = "everybody", "late", "unknown"
"""Users who are attacked: all, those who joined after half of the rounds, and those whose attribute is not known to
training."""

Row = dict[str, Any]


def rows(trained: Trained, rounds: Sequence[int], asked: Asked, progress: Progress) -> Iterator[Row]:
    """Trains the state of a run on, and yields what is read of it each time.

    In a further round everybody takes part, in plain sums. It starts from the state after the erasure; Adam's moments
    of the server and of the clients start anew, since a run does not keep them. A floor of noise is on what is stored
    and shown, and a device takes it off while it trains. Erasures are made again as the configuration says. Training
    goes on from private tensors as maps have left them, and does not see what maps do to a state that is computed anew.
    It sees nothing of an eraser of the plan: devices train on from the states as they were.

    Args:
        trained: a finished run, with the state that was trained.
        rounds: further rounds after which the state is attacked. It is attacked before them in any case.
        asked: splits, seed and workers of the attacks.
        progress: receives how far this is.
    """
    config, times, done = trained.config, sorted({0, *rounds}), 0
    first: NDArray[np.float32] | None = None
    change: NDArray[np.float32] | None = None
    evaluation, best = trained.evaluation, trained.best
    renewal = after_training.renewal_of(config, trained.known)
    beside = None if best.private else renewal
    start = Measured(best.checkpoint, best.private)
    maps = after_training.fitted(beside, start, evaluation, best.round) if beside else ()
    if not beside and config.plan.erased == ():
        start = after_training.moved(config, trained.known, evaluation, best)
    progress.start("training on and attacking", times[-1] + len(times))
    task, population = _plain(trained.bundle.manifest), _population(trained, start)
    given = task, start.checkpoint, population, config.engine.workers
    within, device = None if beside else renewal, gpu.device(config.engine.device)
    with closing(BatchedEngine(*given, kernel=config.engine.kernel, renewal=within, device=device)) as engine:
        engine.restore({"checkpoint": start.checkpoint, "server": {}}, best.round)
        for time in times:
            for number in range(best.round + done, best.round + time):
                engine.train_round(np.arange(len(population)))
                if beside and beside.due(number + 1):
                    maps = after_training.fitted(beside, Measured(engine.checkpoint, {}), evaluation, number + 1)
                progress.advance()
            state, done = Measured(dict(engine.checkpoint), population.state.values), time
            if beside:
                state = after_training.mapped(state, evaluation, maps)
            elif config.plan.erased != ():
                how = evaluation, trained.known, config.engine.seed, best.round + time
                still = after_training.by_devices(Measured(state.checkpoint, best.private), *how)
                state = after_training.by_devices(state, *how)
                now = _states(trained, still)
                change, first = None if first is None else now - first, now if first is None else first
            yield from _at(time, trained, after_training.floored(state, evaluation, config), change, asked)
            progress.advance()


def _plain(task: TaskManifest) -> TaskManifest:
    """Returns a task with plain sums: a policy of secure sums is of cohorts, and not of everybody."""
    plain = TaskManifest()
    plain.CopyFrom(task)
    plain.ClearField("secure_sums")
    return plain


def _population(trained: Trained, start: Measured) -> Population:
    """Returns the clients with private state in memory that training may change."""
    values = {name: np.array(column[:]) for name, column in start.private.items()}
    return replace(trained.population, state=PrivateState.start(values, len(trained.population)))


def _states(trained: Trained, state: Measured) -> NDArray[np.float32]:
    return AttackedStates.of(state.scorer(trained.evaluation), state.private).private


def _at(
    time: int, trained: Trained, state: Measured, change: NDArray[np.float32] | None, asked: Asked
) -> Iterator[Row]:
    """Yields a row for each attribute, group of users and target; see `CHANGE`."""
    scorer, split = state.scorer(trained.evaluation), trained.evaluation.split
    ranks = trained.evaluation.test_ranks(state.checkpoint, state.private, addends=state.addends)
    quality = ranks.metrics()["ndcg@10"]
    everybody = np.arange(len(split.train))
    shown = Outputs(scorer, everybody, split.seen, split.train, trained.bundle.manifest.items)
    features = {
        STATE: _states(trained, state),
        LISTS: shown.features(LISTS),
        SCORES: shown.features(SCORES),
    }
    if change is not None:
        features[CHANGE] = change
    for name, attribute in trained.attributes.items():
        for group, members in _groups(trained, name):
            for target, numbers in features.items():
                found = _read(numbers, attribute, members, target, asked)
                yield {"rounds": time, "ndcg@10": quality, "attribute": name, "users": group, "on": target, **found}


def _groups(trained: Trained, name: str) -> Iterator[tuple[str, NDArray[np.bool_] | None]]:
    """Yields the groups of users that a run has."""
    yield EVERYBODY, None
    clients = len(trained.population)
    late = np.isin(np.arange(clients), assembly.late(trained.config.engine, clients))
    silent = (trained.known[name].labels < 0) & (trained.attributes[name].labels >= 0)
    for group, members in ((LATE, late), (UNKNOWN, silent)):
        if members.any():
            yield group, members


def _read(
    features: NDArray[np.float32],
    attribute: Attribute,
    members: NDArray[np.bool_] | None,
    target: str,
    asked: Asked,
) -> Mapping[str, float]:
    """Returns the most that a family of the attacker reads, with its null; NaN of a group that is too small."""
    how = asked.keywords(len(attribute.classes))
    attacker = "strong" if target in (STATE, CHANGE) else LIGHT
    try:
        largest = attack(features, attribute.labels, attacker, **how, tested=members).largest
    except TooFewUsersError:
        return dict.fromkeys(("bacc", "bacc_null_p95", "auc", "auc_null_p95"), float("nan"))
    assert largest is not None  # the attacker has several families
    return _figures(largest)


def _figures(largest: Largest) -> dict[str, float]:
    return {
        "bacc": largest.bacc.value,
        "bacc_null_p95": largest.bacc.null_p95,
        "auc": largest.auc.value,
        "auc_null_p95": largest.auc.null_p95,
    }
