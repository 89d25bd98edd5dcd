"""The attacks by what everybody sees: the outputs of a model, and the maps and statistics that unlearning publishes."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.datasets import Attribute
from simulator.evaluation import attacked_states, attacked_users, ready_guesses
from simulator.evaluation.attack_results import Figure, Largest
from simulator.evaluation.attacked_outputs import Outputs
from simulator.evaluation.attackers import LIGHT, attack
from simulator.evaluation.ranking import ndcg, rank_all
from simulator.experiment.after_training import Measured
from simulator.experiment.asked import Asked
from simulator.experiment.train import Trained
from simulator.population.columns import block
from simulator.unlearning import erasure, gaps, moments, optimal_transport

INVERSE, STATISTICS, GAPS = "map_inverse", "map_statistics", "map_gaps"
"""Attacks on the state before a published linear map, by the statistics that the map was made of, and by the gaps of a
transport's class maps."""

READY = (STATISTICS, GAPS)
"""Those whose guesses need no learning, and so no splits."""


def maps(trained: Trained) -> tuple[str, ...]:
    """Lists the attacks on what a run's unlearning publishes."""
    kind = trained.config.after_training.erasure
    if kind in ("none", erasure.ALIGNMENT):
        return ()  # an alignment moves each user by itself, and publishes nothing
    return (GAPS,) if kind == erasure.TRANSPORT else (INVERSE, STATISTICS)


def on_outputs(
    trained: Trained, attribute: Attribute, name: str, asked: Asked, notify: Callable[[], None]
) -> dict[str, Any]:
    """Attacks an output of the measured state: the most that a linear family reads; see `attackers.attack`."""
    split, classes = trained.evaluation.split, len(attribute.classes)
    scorer, items = trained.measured.scorer(trained.evaluation), trained.bundle.manifest.items
    users = attacked_users.sample(attribute.labels, classes, asked.seed)
    features = Outputs(scorer, users, split.seen, split.train, items).features(name)
    largest = _largest(features, attribute.labels[users], LIGHT, classes, asked, notify)
    found = _figures(name, {"bacc": largest.bacc, "auc": largest.auc})
    if name != "top10_seen":
        return found
    ranked = trained.evaluation.users
    nothing: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(ranked)

    def of_ranked(places: NDArray[np.int64]) -> NDArray[np.float32]:
        return scorer(ranked[places])

    ranks = rank_all(of_ranked, split.test[ranked], split.candidates(ranked)[1], nothing)
    return found | {"shown_ndcg@10_seen": ndcg(ranks.full, 10)}


def on_map(
    trained: Trained, attribute: Attribute, name: str, asked: Asked, notify: Callable[[], None]
) -> dict[str, Any]:
    """Attacks the measured state with what unlearning has published; see `attackers.attack`."""
    if name == GAPS:
        return _figures(name, ready_guesses.measure(_by_gaps(trained, attribute), attribute.labels, asked.seed))
    before, found = _inverted(trained)
    if name == INVERSE:
        largest = _largest(before, attribute.labels, "strong", len(attribute.classes), asked, notify)
        return _figures(name, {"bacc": largest.bacc, "auc": largest.auc})
    likelihoods = _by_statistics(before, found, attribute, trained)
    return _figures(name, ready_guesses.measure(likelihoods, attribute.labels, asked.seed))


def _largest(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    attacker: str,
    classes: int,
    asked: Asked,
    notify: Callable[[], None],
) -> Largest:
    largest = attack(features, labels, attacker, **asked.keywords(classes), notify=notify).largest
    assert largest is not None  # the attacker has several families
    return largest


def _figures(name: str, figures: Mapping[str, Figure]) -> dict[str, Any]:
    return {key: value for kind, figure in figures.items() for key, value in _named(kind, figure, name)}


def _named(kind: str, figure: Figure, name: str) -> list[tuple[str, float]]:
    return list(attacked_states.named(kind, figure, name).items())


def _by_gaps(trained: Trained, attribute: Attribute) -> NDArray[np.float64]:
    """Adds up the likelihoods of all private tensors, (users, classes)."""
    targets, seed = moments.joint(trained.known.values()), trained.config.engine.seed
    total: NDArray[np.float64] | None = None
    for name, column in trained.best.private.items():
        width = math.prod(column.shape[1:])
        before, after = block(column, 0, width), block(trained.measured.private[name], 0, width)
        _, strength = optimal_transport.transport(before, targets, seed)
        found, groups = gaps.likelihoods(before, after, targets, strength)
        total = found if total is None else total + found
    assert total is not None  # transport needs private state
    of_class = np.array([attribute.labels[group[0]] for group in groups])
    return np.stack([total[:, of_class == number].max(1) for number in range(len(attribute.classes))], axis=1)


def _inverted(trained: Trained) -> tuple[NDArray[np.float32], moments.Moments]:
    """Undoes the map that was published, and returns the sums that it was made of."""
    targets, seed = moments.joint(trained.known.values()), trained.config.engine.seed
    trained_before = Measured(trained.best.checkpoint, trained.best.private)
    before, after = (_flat(trained, state) for state in (trained_before, trained.measured))
    parts = moments.folds(before, targets, seed)
    kind = trained.config.after_training.erasure
    eraser = erasure.fit(parts, None if kind == "auto" else float(kind))
    whole = sum(parts[1:], start=parts[0])
    undo = np.linalg.pinv(np.eye(len(eraser.mean)) - eraser.strength * eraser.removed)
    return (eraser.mean + (after - eraser.mean) @ undo).astype(np.float32), whole


def _flat(trained: Trained, state: Measured) -> NDArray[np.float32]:
    """Returns what a linear map is fitted on: all private state side by side, or else the embedding."""
    private = state.private
    if not private:
        (latent,) = state.scorer(trained.evaluation).embedding().values()
        return latent
    widths = {name: math.prod(private[name].shape[1:]) for name in sorted(private)}
    return np.concatenate([block(private[name], 0, width) for name, width in widths.items()], axis=1)


def _by_statistics(
    state: NDArray[np.float32], whole: moments.Moments, attribute: Attribute, trained: Trained
) -> NDArray[np.float64]:
    """Computes log-likelihoods of an attribute's classes by their means and the covariance, (users, classes)."""
    names = list(trained.known)
    number = next(at for at, name in enumerate(names) if trained.attributes[name] is attribute)
    start = sum(len(trained.known[name].classes) for name in names[:number])
    classes = slice(start, start + len(attribute.classes))
    means, shares = whole.gaps[classes], whole.counts[classes] / whole.users
    within = whole.covariance - (means.T * shares) @ means
    weights = np.linalg.pinv(within, hermitian=True) @ means.T
    return np.asarray((state - whole.mean) @ weights - (means.T * weights).sum(0) / 2)
