"""The attacks of a run, one part after another, so that those that were run are kept if the others are not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.attacks.leakage import leakage
from simulator.datasets import Attribute
from simulator.evaluation import attacked_states
from simulator.evaluation.attack_results import AttackResult
from simulator.evaluation.attacked_outputs import OUTPUTS
from simulator.evaluation.attacked_states import AttackedStates
from simulator.evaluation.attacked_users import sample
from simulator.evaluation.attackers import ATTACKERS, attack, trials
from simulator.experiment import assembly, attacking_maps, attacking_public, seen_sums
from simulator.experiment.asked import Asked
from simulator.experiment.attack_progress import Splits
from simulator.experiment.train import Trained
from simulator.experiment.trainer import Progress
from simulator.reporting.attacked import MARK, SUM, UPLOADS, part_of
from simulator.unlearning import baselines


@dataclass(frozen=True)
class Part:
    """A part of the attacks.

    Attributes:
        name: its name in `reporting.attacked`.
        run: runs it, and returns its metrics.
        splits: number of splits that it takes, with those of its null; 1 for an attack that has none.
    """

    name: str
    run: Callable[[], dict[str, Any]]
    splits: int = 1


def parts(trained: Trained, asked: Asked, notify: Callable[[], None]) -> list[Part]:
    """Lists the attacks on a run: on what the server sees of the state that was trained, and on the measured state.

    Args:
        trained: the run.
        asked: splits, seed and workers.
        notify: called after each split of an attack under way.
    """
    attacks: list[Part] = []
    of_all = cache(partial(_states, trained, None))
    hidden = trained.config.engine.sums != "plain"  # nobody sees an upload, and the coordinator sees one sum a round
    if hidden and seen_sums.table_of(trained.bundle.manifest):
        attacks.append(Part(SUM, partial(seen_sums.read_round, *trained.chosen(), trained.config.engine)))
    for prefix, name, attribute in assembly.prefixed(trained.attributes):
        if not hidden and _has_uploads(trained, name):
            attacks.append(Part(f"{prefix}{UPLOADS}", partial(_on_uploads, trained, name, prefix, asked.seed)))
        states, everybody = of_all, attribute
        if len(attribute.labels) > asked.users:  # the attack's own sample, drawn before the states are computed
            users = sample(attribute.labels, len(attribute.classes), asked.seed, asked.users)
            states = cache(partial(_states, trained, users))
            attribute = Attribute(attribute.classes, attribute.labels[users])
        attacks += _on_states(states, attribute, prefix, asked, notify)
        attacks += _on_public(trained, everybody, prefix, asked, notify)
    return attacks


def run(
    trained: Trained, asked: Asked, metrics: dict[str, Any], progress: Progress, earlier: Mapping[str, Any]
) -> None:
    """Runs attacks and adds their metrics, and the mark that says which of them are missing.

    Args:
        trained: the run.
        asked: the attacks.
        metrics: of the run; those of earlier attacks are removed. Where this is interrupted, they hold what was run.
        progress: receives how far the attacks are.
        earlier: metrics of the same state; the same attacks in them are not made again.
    """
    for key in [key for key in metrics if part_of(key)]:
        del metrics[key]
    counted = Splits(progress.advance)
    attacks = parts(trained, asked, counted.split)
    names = [part.name for part in attacks]
    left = list(names)
    metrics[MARK] = {
        "kind": asked.kind,
        "splits": asked.splits,
        "seed": asked.seed,
        "asked": names,
        "missing": left,
    }
    if asked.kind == "none":
        return
    for name in _made(asked, earlier):
        metrics |= {key: value for key, value in earlier.items() if part_of(key) == name}
        left.remove(name)
    total, waiting = sum(part.splits for part in attacks), [part for part in attacks if part.name in left]
    progress.start("attacking", total, total - sum(part.splits for part in waiting))
    for part in waiting:
        counted.begin(part.name, part.splits)
        metrics |= part.run()
        left.remove(part.name)
        counted.end()


def _made(asked: Asked, earlier: Mapping[str, Any]) -> list[str]:
    """Returns the parts that earlier attacks of the same kind, splits and seed consist of."""
    mark = earlier.get(MARK, {})
    if any(mark.get(name) != getattr(asked, name) for name in ("kind", "splits", "seed")):
        return []
    return [name for name in mark["asked"] if name not in mark["missing"]]


def _states(trained: Trained, users: NDArray[np.int64] | None) -> AttackedStates:
    measured = trained.measured
    return AttackedStates.of(measured.scorer(trained.evaluation), measured.private, users)


def _has_uploads(trained: Trained, attribute: str) -> bool:
    """Returns whether an upload is the gradient of one step, without noise that is drawn only for a round's sum."""
    settings, task = trained.config.engine, trained.bundle.manifest
    adversaries = [adversary for adversary in task.plan.adversaries if adversary.attribute == attribute]
    return bool(adversaries) and task.plan.local.steps == 1 and not baselines.on_contributions(settings, task)


def _on_uploads(trained: Trained, attribute: str, prefix: str, seed: int) -> dict[str, Any]:
    """Measures what uploads of the trained state leak, before anything is erased from it."""
    task, population = trained.chosen()
    figures = leakage(task, population, attribute, trained.config.engine.rounds, seed)
    return _prefixed(prefix, figures)


def _on_states(
    states: Callable[[], AttackedStates], attribute: Attribute, prefix: str, asked: Asked, notify: Callable[[], None]
) -> Iterator[Part]:
    """Yields a part for each attacker on the paper's embedding, and on all private state (suffix `_all`)."""
    for attacker in ATTACKERS:
        attacked, splits = cache(partial(_attack, states, attribute, attacker, asked, notify)), trials(asked.splits)
        yield Part(f"{prefix}{attacker}", partial(_on_embedding, attacked, prefix, attacker), splits)
        yield Part(f"{prefix}{attacker}_all", partial(_on_all, states, attacked, prefix, attacker), splits)


def _on_public(
    trained: Trained, attribute: Attribute, prefix: str, asked: Asked, notify: Callable[[], None]
) -> Iterator[Part]:
    """Yields a part for each output, and for each attack on what unlearning publishes."""
    for names, made in (
        (OUTPUTS, attacking_public.on_outputs),
        (attacking_maps.maps(trained), attacking_maps.on_map),
    ):
        for name in names:
            splits = 1 if name in attacking_maps.READY else trials(asked.splits)
            run = partial(_public, made, trained, attribute, name, asked, notify, prefix)
            yield Part(f"{prefix}{name}", run, splits)


def _public(
    made: Callable[[Trained, Attribute, str, Asked, Callable[[], None]], dict[str, Any]],
    trained: Trained,
    attribute: Attribute,
    name: str,
    asked: Asked,
    notify: Callable[[], None],
    prefix: str,
) -> dict[str, Any]:
    return _prefixed(prefix, made(trained, attribute, name, asked, notify))


def _on_embedding(attacked: Callable[[str], AttackResult], prefix: str, attacker: str) -> dict[str, Any]:
    result = attacked("embedding")
    strong = attacker == "strong"
    first = {f"{prefix}bacc_null_p95": result.bacc.null_p95, f"{prefix}attacked_users": result.users} if strong else {}
    return _prefixed(prefix, attacked_states.metrics(result, attacker, "")) | first


def _on_all(
    states: Callable[[], AttackedStates], attacked: Callable[[str], AttackResult], prefix: str, attacker: str
) -> dict[str, Any]:
    same = states().private is states().embedding  # a model without private state, which is attacked once
    result = attacked("embedding" if same else "private")
    return _prefixed(prefix, attacked_states.metrics(result, attacker, "_all"))


def _prefixed(prefix: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in metrics.items()}


def _attack(
    states: Callable[[], AttackedStates],
    attribute: Attribute,
    attacker: str,
    asked: Asked,
    notify: Callable[[], None],
    state: str,
) -> AttackResult:
    return attack(
        getattr(states(), state),
        attribute.labels,
        attacker,
        **asked.keywords(len(attribute.classes)),
        notify=notify,
    )
