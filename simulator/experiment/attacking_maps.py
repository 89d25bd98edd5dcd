"""The attacks on the maps and statistics that unlearning publishes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_sdk import erasing
from fedau2 import principal
from fedau2.erasing import shifts
from simulator.datasets import Attribute
from simulator.evaluation import ready_guesses
from simulator.evaluation.classifiers import whitening
from simulator.experiment import after_training
from simulator.experiment.after_training import Measured
from simulator.experiment.asked import Asked
from simulator.experiment.attacking_public import figures, largest
from simulator.experiment.train import Trained
from simulator.population.columns import block
from simulator.unlearning import erasure, gaps, moments, on_devices, optimal_transport, renewal
from simulator.unlearning.renewal import KERNEL, Maps

INVERSE, STATISTICS, WITNESSES, GAPS = "map_inverse", "map_statistics", "map_witnesses", "map_gaps"
SHIFTS = "map_shifts"
"""Attacks on the state before published maps, by the moments that a linear map was made of, by the witnesses of kernel
steps, by the gaps of a transport's class maps, and along classes' shifts."""

READY = (STATISTICS, WITNESSES, GAPS)
"""Those whose guesses need no learning, and so no splits."""


def maps(trained: Trained) -> tuple[str, ...]:
    """Lists the attacks on what a run's unlearning publishes."""
    kind = trained.config.after_training.erasure
    if trained.config.plan.erased != ():
        return (INVERSE, STATISTICS, WITNESSES, *((SHIFTS,) if _has_shifts(trained) else ()))
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
    if name in (INVERSE, SHIFTS):
        seen = _undone(trained, published, after) if name == INVERSE else _along_shifts(trained, after, attribute)
        given = attribute.labels, "strong", len(attribute.classes)
        most = largest(seen.astype(np.float32), *given, asked, notify)
        return figures(name, {"bacc": most.bacc, "auc": most.auc})
    if name == WITNESSES:
        guesses = _by_witnesses(published, after, _columns(trained, attribute))
    else:
        guesses = _by_statistics(trained, published, before, after, attribute)
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
    trained: Trained, published: Maps, before: NDArray[np.float32], after: NDArray[np.float32], attribute: Attribute
) -> NDArray[np.float64]:
    """Computes log-likelihoods of classes, (users, classes), by their means, the covariance, and the floor's size."""
    classes = _columns(trained, attribute)
    whole = moments.Moments.of(before, moments.joint(trained.known.values()))
    means, shares = whole.gaps[classes], whole.counts[classes] / whole.users
    config = trained.config
    strength = config.plan.eraser.floor if config.plan.erased != () else config.after_training.floor
    noise = np.diag(strength * after.std(0, dtype=np.float64))
    if published and not _has_shifts(trained):
        eraser = published[0]
        noise = noise @ np.linalg.pinv(np.eye(len(noise)) - eraser.strength * eraser.removed)
    within = whole.covariance - (means.T * shares) @ means + noise.T @ noise
    if _has_shifts(trained):
        means = means + _shifts_of(trained, attribute)  # where the states lie that users of each class show
    weights = np.linalg.pinv(within, hermitian=True) @ means.T
    state = _undone(trained, published, after)
    return np.asarray((state - whole.mean) @ weights - (means.T * weights).sum(0) / 2)


def _has_shifts(trained: Trained) -> bool:
    return trained.config.plan.erased != () and trained.config.plan.eraser.shifts


def _shifts_of(trained: Trained, attribute: Attribute) -> NDArray[np.float64]:
    """Returns by how much the shifts move the users of each class of an attribute, in the mean, (classes, width)."""
    task = trained.bundle.manifest
    known = erasing.of(task, trained.best.checkpoint)
    assert known is not None  # the plan has an eraser
    _, own = on_devices.own_shifts(task, *known, trained.known)
    members = attribute.labels[:, None] == np.arange(len(attribute.classes))
    return np.asarray((members.T @ own.astype(np.float64)) / np.maximum(members.sum(0), 1)[:, None])


def _undone(trained: Trained, published: Maps, after: NDArray[np.float32]) -> NDArray[np.floating]:
    """Returns states before published maps. A stranger does not know which shift was a user's, and undoes none."""
    return renewal.undone(published[1:] if _has_shifts(trained) else published, after)


def _along_shifts(trained: Trained, after: NDArray[np.float32], attribute: Attribute) -> NDArray[np.float64]:
    """Projects whitened states on the classes' shifts, in each band of principal axes, (users, bands * classes)."""
    centred = after - after.mean(0, dtype=np.float64)
    variances, axes = principal.axes(centred.T @ centred / len(centred))
    full = variances > whitening.EMPTY**2 * variances[-1]
    towards = (axes[:, full] / np.sqrt(variances[full]))[:, ::-1]
    white, along = centred @ towards, _shifts_of(trained, attribute) @ towards
    bands = shifts.bands(white.shape[1])
    return np.concatenate([white[:, band] @ along[:, band].T for band in bands], axis=1)


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
