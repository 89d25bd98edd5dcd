"""Changes the chosen state of a trained run as its configuration says: erases attributes, or adds noise."""

from dataclasses import replace

from client_sdk.kernel import contract
from client_sdk.kernel.models import RECOMMENDERS
from export.plan.resolve import states
from simulator.experiment.train import Trained
from simulator.unlearning import baselines, erasure, moments


def changed(trained: Trained) -> tuple[Trained, dict[str, float]]:
    """Returns the run with the changed state, and metrics of the change. All metrics but those of uploads come from it.

    The given run keeps the state that was trained. Both are the same where the configuration changes nothing.
    """
    after, seed = trained.config.after_training, trained.config.engine.seed
    plan, best, evaluation = trained.config.plan, trained.best, trained.evaluation
    if after.erasure != "none":
        return _erased(trained, after.erasure, seed)
    if not after.noise:
        return trained, {}
    of_model = states(plan.model)
    adversaries = [plan.settings(entry) for entry in plan.adversaries or ()] or [plan.adversary]
    protected = tuple(dict.fromkeys(name for settings in adversaries for name in of_model.named(settings.protects)))
    checkpoint, private = baselines.noised(evaluation.task, best.checkpoint, best.private, protected, after.noise, seed)
    return replace(trained, best=replace(best, checkpoint=checkpoint, private=private)), {}


def _erased(trained: Trained, kind: str, seed: int) -> tuple[Trained, dict[str, float]]:
    """Erases the attributes together from the private state; from an encoder, where nothing is private."""
    best, how = trained.best, (moments.joint(trained.known.values()), kind, seed)
    if best.private:
        private, strength = erasure.erase(best.private, *how)
        erased = replace(best, private=private)
    else:
        evaluation = trained.evaluation
        encoder = contract.encoder(RECOMMENDERS[evaluation.task.model].model)
        assert encoder is not None  # checked before training
        (latent,) = evaluation.scorer(best.checkpoint, best.private).embedding().values()
        checkpoint, strength = erasure.erase_latent(encoder, best.checkpoint, latent, *how)
        erased = replace(best, checkpoint=checkpoint)
    return replace(trained, best=erased), {"erasure_strength": strength}
