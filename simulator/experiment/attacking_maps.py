"""The attacks on the maps and statistics that unlearning publishes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.datasets import Attribute
from simulator.evaluation import ready_guesses
from simulator.experiment import after_training
from simulator.experiment.after_training import Measured
from simulator.experiment.asked import Asked
from simulator.experiment.attacking_public import figures, largest
from simulator.experiment.train import Trained
from simulator.population.columns import block
from simulator.unlearning import erasure, gaps, moments, on_devices, optimal_transport, renewal
from simulator.unlearning.renewal import KERNEL, Maps

INVERSE, STATISTICS, WITNESSES, GAPS = "map_inverse", "map_statistics", "map_witnesses", "map_gaps"
"""Attacks on the state before published maps, by the moments that a linear map was made of, by the witnesses of kernel
steps, and by the gaps of a transport's class maps."""

READY = (STATISTICS, WITNESSES, GAPS)
"""Those whose guesses need no learning, and so no splits."""


def maps(trained: Trained) -> tuple[str, ...]:
    """Lists the attacks on what a run's unlearning publishes."""
    kind = trained.config.after_training.erasure
    if trained.config.plan.erased != ():
        return INVERSE, STATISTICS, WITNESSES
    if kind in ("none", *erasure.MAPLESS):
        return ()  # what moves each user by itself publishes nothing
    if kind == KERNEL:
        return INVERSE, STATISTICS, WITNESSES
    return (GAPS,) if kind == erasure.TRANSPORT else (INVERSE, STATISTICS)


def on_map(
    trained: Trained, attribute: Attribute, name: str, asked: Asked, notify: Callable[[], None]
) -> dict[str, Any]:
    """Attacks the measured state with what unlearning has published; see `attackers.attack`."""
    if name == GAPS:
        return figures(name, ready_guesses.measure(_by_gaps(trained, attribute), attribute.labels, asked.seed))
    before, after = (_flat(trained, state) for state in (_unchanged(trained), trained.measured))
    published = _published(trained, before)
    if name == INVERSE:
        undone = renewal.undone(published, after).astype(np.float32)
        most = largest(undone, attribute.labels, "strong", len(attribute.classes), asked, notify)
        return figures(name, {"bacc": most.bacc, "auc": most.auc})
    if name == WITNESSES:
        guesses = _by_witnesses(published, after, _columns(trained, attribute))
    else:
        guesses = _by_statistics(trained, published, before, after, _columns(trained, attribute))
    return figures(name, ready_guesses.measure(guesses, attribute.labels, asked.seed))


def _unchanged(trained: Trained) -> Measured:
    return Measured(trained.best.checkpoint, trained.best.private)


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


def _flat(trained: Trained, state: Measured) -> NDArray[np.float32]:
    """Returns what maps are fitted on: all private state side by side, or else the embedding."""
    if trained.config.plan.erased != ():
        return np.concatenate(list(after_training.states_of(state, trained.evaluation).values()), axis=1)
    if state.private:
        return erasure.joined(state.private)
    (latent,) = state.scorer(trained.evaluation).embedding().values()
    return latent


def _published(trained: Trained, before: NDArray[np.float32]) -> Maps:
    """Fits the maps of the measured state again, which are public."""
    after, seed = trained.config.after_training, trained.config.engine.seed
    if trained.config.plan.erased != ():
        return on_devices.maps(trained.bundle.manifest, trained.best.checkpoint)
    if maker := after_training.renewal_of(trained.config, trained.known):
        return maker.fitted(before, trained.best.round)
    parts = moments.folds(before, moments.joint(trained.known.values()), seed)
    return (erasure.fit(parts, erasure.strength_of(after.erasure)),)


def _columns(trained: Trained, attribute: Attribute) -> slice:
    """Returns the places of an attribute's classes among those of all attributes."""
    names = list(trained.known)
    number = next(at for at, name in enumerate(names) if trained.attributes[name] is attribute)
    start = sum(len(trained.known[name].classes) for name in names[:number])
    return slice(start, start + len(attribute.classes))


def _by_statistics(
    trained: Trained, published: Maps, before: NDArray[np.float32], after: NDArray[np.float32], classes: slice
) -> NDArray[np.float64]:
    """Computes log-likelihoods of classes, (users, classes), by their means, the covariance, and the floor's size."""
    whole = moments.Moments.of(before, moments.joint(trained.known.values()))
    means, shares = whole.gaps[classes], whole.counts[classes] / whole.users
    config = trained.config
    strength = config.plan.eraser.floor if config.plan.erased != () else config.after_training.floor
    noise = np.diag(strength * after.std(0, dtype=np.float64))
    for eraser in published[:1]:
        noise = noise @ np.linalg.pinv(np.eye(len(noise)) - eraser.strength * eraser.removed)
    within = whole.covariance - (means.T * shares) @ means + noise.T @ noise
    weights = np.linalg.pinv(within, hermitian=True) @ means.T
    state = renewal.undone(published, after)
    return np.asarray((state - whole.mean) @ weights - (means.T * weights).sum(0) / 2)


def _by_witnesses(published: Maps, after: NDArray[np.float32], classes: slice) -> NDArray[np.float64]:
    """Adds up what the witnesses of all steps show, each at the state before its step, (users, classes).

    Nothing is guessed where a class was held back from the sums.
    """
    state, total = after.astype(np.float64), np.zeros((len(after), classes.stop - classes.start))
    for step in reversed(published[1:]):
        state = step.inverted(state)
        shown = step.shown(state)[:, classes]
        if shown.shape == total.shape:
            total += shown / np.maximum(shown.std(0), 1e-12)
    return total
