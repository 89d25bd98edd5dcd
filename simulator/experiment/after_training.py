"""Changes the chosen state as a configuration says: erases attributes from it, or adds noise to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from client_sdk.kernel import contract
from client_sdk.kernel.models import RECOMMENDERS
from export.plan.resolve import states
from fedau2.wire.blobs import Tensors
from simulator.config.config import Config
from simulator.datasets import Attribute
from simulator.evaluation.held_out import Evaluation
from simulator.experiment.resume import Best
from simulator.population.columns import Column
from simulator.unlearning import baselines, erasure, moments


@dataclass(frozen=True, eq=False)
class Measured:
    """The state that all metrics but those of uploads come from.

    Attributes:
        checkpoint: shared tensors.
        private: private tensors of all clients.
        metrics: of the change that made it.
    """

    checkpoint: Tensors
    private: Mapping[str, Column]
    metrics: Mapping[str, float] = field(default_factory=dict)


def is_changed(config: Config) -> bool:
    """Returns whether a configuration changes the chosen state."""
    return config.after_training.erasure != "none" or config.after_training.noise > 0


def changed(config: Config, known: Mapping[str, Attribute], evaluation: Evaluation, best: Best) -> Measured:
    """Returns the changed state; the chosen one is left as it is.

    Args:
        config: of the run.
        known: attributes, as far as they are known.
        evaluation: of the run.
        best: the chosen state.
    """
    after, plan, seed = config.after_training, config.plan, config.engine.seed
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
    how = (moments.joint(known.values()), kind, seed)
    if best.private:
        private, strength = erasure.erase(best.private, *how)
        return Measured(best.checkpoint, private, {"erasure_strength": strength})
    encoder = contract.encoder(RECOMMENDERS[evaluation.task.model].model)
    assert encoder is not None  # checked before training
    (latent,) = evaluation.scorer(best.checkpoint, best.private).embedding().values()
    checkpoint, strength = erasure.erase_latent(encoder, best.checkpoint, latent, *how)
    return Measured(checkpoint, best.private, {"erasure_strength": strength})
