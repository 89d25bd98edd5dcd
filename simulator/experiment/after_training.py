"""Changes the chosen state as a configuration says: erases attributes from it, and adds noise to it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from client_sdk import erasing
from client_sdk.kernel import contract
from client_sdk.kernel.models import RECOMMENDERS
from export.plan.resolve import states
from fedau2.wire.blobs import Tensors
from simulator.config.config import Config
from simulator.datasets import Attribute
from simulator.evaluation.held_out import Evaluation
from simulator.evaluation.scoring import Scorer
from simulator.experiment.resume import Best
from simulator.population.columns import Column, block
from simulator.population.population import ClientKeys
from simulator.unlearning import baselines, erasure, floor, moments, on_devices, post_training, renewal
from simulator.unlearning.orders import Orders
from simulator.unlearning.renewal import Maps, Renewal


@dataclass(frozen=True, eq=False)
class Measured:
    """The state that all metrics but those of uploads come from.

    Attributes:
        checkpoint: shared tensors.
        private: private tensors of all clients.
        metrics: of the change that made it.
        addends: of states that are computed of each client anew, by name, (clients, ...): what maps move them by, and
            noise. Private tensors hold theirs.
    """

    checkpoint: Tensors
    private: Mapping[str, Column]
    metrics: Mapping[str, float] = field(default_factory=dict)
    addends: Mapping[str, Column] = field(default_factory=dict)

    def scorer(self, evaluation: Evaluation) -> Scorer:
        """Makes the scorer of the state."""
        return evaluation.scorer(self.checkpoint, self.private, self.addends)


def is_changed(config: Config) -> bool:
    """Returns whether a configuration changes the chosen state."""
    after = config.after_training
    return config.plan.erased != () or after.erasure != "none" or after.noise > 0 or after.floor > 0


def renewal_of(config: Config, known: Mapping[str, Attribute]) -> Renewal | None:
    """Returns what fits the maps that devices apply themselves; None if a configuration has no such maps."""
    after = config.after_training
    if not after.erase_every and after.erasure != renewal.KERNEL:
        return None
    return Renewal(after.erase_every, after.erasure, known, config.engine.seed)


def mapped(state: Measured, evaluation: Evaluation, maps: Maps) -> Measured:
    """Applies maps to private tensors, or to the embedding where nothing is private."""
    if state.private:
        return replace(state, private=renewal.moved(maps, state.private), metrics=_metrics(maps))
    ((name, latent),) = state.scorer(evaluation).embedding().items()
    return replace(state, addends={name: renewal.applied(maps, latent) - latent}, metrics=_metrics(maps))


def _metrics(maps: Maps) -> dict[str, float]:
    return {"erasure_strength": maps[0].strength, "erasure_steps": len(maps) - 1} if maps else {}


def by_devices(
    state: Measured, evaluation: Evaluation, attributes: Mapping[str, Attribute], seed: int, version: int
) -> Measured:
    """Returns what devices show: states moved by the maps of the checkpoint, with each device's floor of noise.

    Args:
        state: as training left it, of a task whose plan has an eraser.
        evaluation: of the run.
        attributes: by name, as far as devices know them.
        seed: of the run, from which devices have their keys.
        version: round of the checkpoint.
    """
    known = erasing.of(evaluation.task, state.checkpoint)
    assert known is not None  # the plan has an eraser
    (plan, published), maps = known, on_devices.maps(evaluation.task, state.checkpoint)
    before = states_of(state, evaluation)
    keys = ClientKeys(seed, len(evaluation.split.train))
    noise = np.stack([published.noise(plan, key, version) for key in keys])
    beside = np.concatenate(list(before.values()), axis=1)
    moved = on_devices.moved(maps, beside, on_devices.own_shifts(evaluation.task, plan, published, attributes)) + noise
    parts = np.split(moved, np.cumsum([part.shape[1] for part in before.values()])[:-1], axis=1)
    shown = dict(zip(before, parts, strict=True))
    private = {name: shown[name].reshape(column.shape) for name, column in state.private.items()}
    # States that are computed of moved private tensors have moved with them.
    anew = states_of(Measured(state.checkpoint, private), evaluation) if private else before
    addends = {name: shown[name] - anew[name] for name in plan.protects if name not in private}
    return Measured(state.checkpoint, private, _metrics(maps), addends)


def states_of(state: Measured, evaluation: Evaluation) -> dict[str, NDArray[np.float32]]:
    """Returns the states that a plan's eraser erases from, in the order in which they lie, each (users, numbers)."""
    scorer = state.scorer(evaluation)
    private = {name: block(column, 0, math.prod(column.shape[1:])) for name, column in state.private.items()}
    protects = evaluation.task.plan.eraser.protects
    return {name: private[name] if name in private else scorer.states(name) for name in protects}


def fitted(maker: Renewal, state: Measured, evaluation: Evaluation, rounds: int) -> Maps:
    """Fits maps to the private tensors of a state, or to the embedding where nothing is private."""
    if state.private:
        return maker.fitted(erasure.joined(state.private), rounds)
    (latent,) = state.scorer(evaluation).embedding().values()
    return maker.fitted(latent, rounds)


def adds(config: Config) -> bool:
    """Returns whether something is added to states that are computed of each user anew; see `Measured.addends`."""
    return config.plan.erased != () or config.after_training.floor > 0 or renewal_of(config, {}) is not None


def changed(config: Config, known: Mapping[str, Attribute], evaluation: Evaluation, best: Best) -> Measured:
    """Returns the changed state; the chosen one is left as it is.

    Args:
        config: of the run.
        known: attributes, as far as they are known.
        evaluation: of the run.
        best: the chosen state.
    """
    if config.plan.erased != ():
        state = Measured(best.checkpoint, best.private)
        return by_devices(state, evaluation, known, config.engine.seed, best.round)
    return floored(moved(config, known, evaluation, best), evaluation, config)


def moved(config: Config, known: Mapping[str, Attribute], evaluation: Evaluation, best: Best) -> Measured:
    """Erases attributes from the state, or adds the noise of a baseline to it; the arguments are those of `changed`."""
    after, plan, seed = config.after_training, config.plan, config.engine.seed
    if maker := renewal_of(config, known):
        state = Measured(best.checkpoint, best.private)
        return mapped(state, evaluation, fitted(maker, state, evaluation, best.round))
    if after.erasure != "none":
        return _erased(known, evaluation, best, after.erasure, seed)
    if not after.noise:
        return Measured(best.checkpoint, best.private)
    of_model = states(plan.model)
    adversaries = [plan.settings(entry) for entry in plan.adversaries or ()] or [plan.adversary]
    protected = tuple(dict.fromkeys(name for settings in adversaries for name in of_model.named(settings.protects)))
    return Measured(*baselines.noised(evaluation.task, best.checkpoint, best.private, protected, after.noise, seed))


def _erased(known: Mapping[str, Attribute], evaluation: Evaluation, best: Best, kind: str, seed: int) -> Measured:
    """Erases the attributes together from the private state; from an encoder, where nothing is private."""
    how = (targets := moments.joint(known.values()), kind, seed)
    if kind in post_training.KINDS:
        orders = Orders(evaluation.task, best.checkpoint, best.private, evaluation.split.train)
        return Measured(best.checkpoint, post_training.unlearn(best.private, targets, kind, orders, seed))
    if best.private:
        private, strength = erasure.erase(best.private, *how)
        return Measured(best.checkpoint, private, {"erasure_strength": strength})
    encoder = contract.encoder(RECOMMENDERS[evaluation.task.model].model)
    assert encoder is not None  # checked before training
    (latent,) = evaluation.scorer(best.checkpoint, best.private).embedding().values()
    checkpoint, strength = erasure.erase_latent(encoder, best.checkpoint, latent, *how)
    return Measured(checkpoint, best.private, {"erasure_strength": strength})


def floored(state: Measured, evaluation: Evaluation, config: Config) -> Measured:
    """Adds the floor of noise: to private tensors, or to the embedding where nothing is private."""
    strength = config.after_training.floor
    if not strength:
        return state
    keys = ClientKeys(config.engine.seed, len(evaluation.split.train))
    if not state.private:
        drawn = floor.noise(state.scorer(evaluation).embedding(), strength, keys)
        for name, moved_by in state.addends.items():
            drawn[name] += moved_by[:]
        return replace(state, addends=drawn)
    drawn = floor.noise(state.private, strength, keys)
    return replace(state, private={name: column[:] + drawn[name] for name, column in state.private.items()})
