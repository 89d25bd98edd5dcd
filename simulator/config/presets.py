"""Presets: fragments of a configuration under a name, per recommender.

A preset is a method: FedAU2 as the paper has it, what protects better, a variant of the paper's, or a baseline. It sets
every setting of `METHOD` back to its default, and then says only what differs from the defaults.
"""

from collections.abc import Mapping

from export.plan.fragments import Fragment
from fedau2.plugins import Registry
from fedau2.similar import did_you_mean
from simulator.errors import ConfigError

METHOD = (
    "plan.adversaries",
    "plan.adversary",
    "plan.matchings",
    "plan.matching",
    "plan.erased",
    "plan.eraser",
    "engine.plain_statistics",
    "plan.server",
    "plan.local.private_learning_rate",
    "engine.rounds",
    "engine.local_noise",
    "engine.apm",
    "after_training",
)
"""The settings that make a method."""

_NO_ADVERSARY = {"plan.adversaries": "none"}


_ERASED = {**_NO_ADVERSARY, "plan.erased": "all", "engine.plain_statistics": True}
"""Adversaries turn and shrink a state until the paper's attacker is lost, and leave the attribute in it.

An eraser hides it in all that devices show, with a floor against attackers who whiten: docs/results/lasting.md.
"""

_CONFUSION = {
    "plan.adversary.head": "mlp",
    "plan.adversary.objective": "confusion",
    "plan.adversary.prior": "uniform",
    "plan.adversary.epsilon": 100.0,
}

_FOR_ALL: Mapping[str, Fragment] = {
    "paper": {},
    # The paper compares its trigger and its head with these, each changed alone.
    "global": {"plan.adversary.trigger": "global"},
    "pretrain": {"plan.adversary.trigger": "pretrain"},
    "mlp": {"plan.adversary.head": "mlp"},
    "vae": {"plan.adversary.head": "vae"},
    # An approximation: docs/baselines.md.
    "uc-fedrec": {**_CONFUSION, "plan.adversary.protects": "all"},
    # No adversary, and for some recommenders noise instead: docs/baselines.md.
    "original": _NO_ADVERSARY,
}
"""Presets that are the same for all recommenders."""


def _every(name: str) -> Mapping[str, Fragment]:
    return dict.fromkeys(("fedncf", "fedrap", "fedvae"), _FOR_ALL[name])


def _baseline(**by_model: Fragment) -> Mapping[str, Fragment]:
    return {model: {**_NO_ADVERSARY, **fragment} for model, fragment in by_model.items()}


PRESETS: Mapping[str, Mapping[str, Fragment]] = {
    "paper": _every("paper"),
    "recommended": {
        # Private vectors move away from maps that are a round late, unless they learn slowly. Then averages over more
        # rounds still fit, and the folds of more users agree on more. There are directions in which users hardly
        # differ, where whoever whitens reads what a linear map has left. Shifts leave less of it than a large floor
        # would, and cost less. All of it was chosen on MovieLens 100K, seed 0.
        "fedncf": {
            **_ERASED,
            "plan.eraser.shifts": True,
            "plan.eraser.rate": 0.02,
            "plan.eraser.floor": 0.2,
            "plan.local.private_learning_rate": 0.03,
            "engine.rounds": 500,
        },
        "fedrap": {
            "plan.adversary.objective": "confusion",
            "plan.adversary.epsilon": 1.0,
            "plan.server.adversary.learning_rate": 0.01,
        },
        # More steps take more of the latent; FedNCF's vectors show more to whoever whitens then. Chosen on seed 0.
        "fedvae": {**_ERASED, "plan.eraser.steps": 24},
    },
    **{name: _every(name) for name in ("global", "pretrain", "mlp", "vae", "original")},
    # UC-FedRec's discriminators see all of the user's embedding; of a graph that is the node.
    "uc-fedrec": {
        **_every("uc-fedrec"),
        "fedrap": {**_FOR_ALL["uc-fedrec"], "plan.adversary.epsilon": 1.0},
        "fedgnn": _CONFUSION,
    },
    "noise": _baseline(
        fedncf={"after_training.noise": 3.0},
        fedrap={"after_training.noise": 0.1},
        fedvae={"after_training.noise": 0.12},
        fcf={"after_training.noise": 1.0},
        pfedrec={"after_training.noise": 1.0},
        fedgnn={"after_training.noise": 1.0},
    ),
    "local-noise": _baseline(
        fedncf={"engine.local_noise": 0.01, "plan.server.clip_norm": 0.5},
        fedrap={"engine.local_noise": 0.02, "plan.server.clip_norm": 0.05},
        fedvae={"engine.local_noise": 0.001, "plan.server.clip_norm": 150.0},
        fcf={"engine.local_noise": 0.01, "plan.server.clip_norm": 0.5},
        pfedrec={"engine.local_noise": 0.01, "plan.server.clip_norm": 0.05},
        fedgnn={"engine.local_noise": 0.001, "plan.server.clip_norm": 150.0},
    ),
    "apm": _baseline(
        fedncf={"engine.apm": 160.0},
        fedrap={"engine.apm": 50.0},
        fedvae={"engine.apm": 0.01, "plan.server.clip_norm": 150.0},
        fcf={"engine.apm": 50.0},
        pfedrec={"engine.apm": 50.0},
        fedgnn={"engine.apm": 50.0},
    ),
    **{
        kind: _baseline(**{model: {"after_training.erasure": kind} for model in ("fedncf", "fcf", "pfedrec", "fedgnn")})
        for kind in ("alignment", "d2d", "u2u")
    },
}
"""By name and recommender: what differs from the recommender's defaults, by dotted path."""

_OTHERWISE: Mapping[str, Fragment] = {
    **_FOR_ALL,
    "recommended": _ERASED,
}
"""The presets of a recommender that `PRESETS` does not name. The strength of noise has to be measured for each."""

OF_PLUGINS: Registry[Mapping[str, Fragment]] = Registry("presets", dict, {})
"""By recommender and name: the presets that plug-ins add for a recommender."""


def of_model(model: str) -> Mapping[str, Fragment]:
    """Returns the presets of a recommender by name."""
    measured = {name: models[model] for name, models in PRESETS.items() if model in models}
    known = {**_OTHERWISE, **measured, **OF_PLUGINS.get(model, {})}
    return {name: known[name] for name in PRESETS if name in known}


def preset(name: str, model: str) -> Fragment:
    """Returns what a preset changes of a recommender's defaults.

    Raises:
        ConfigError: there is no such preset for this recommender.
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; there is {', '.join(PRESETS)}{did_you_mean(name, PRESETS)}")
    fragments = of_model(model)
    if name not in fragments:
        raise ConfigError(
            f"preset {name!r} has no settings for model {model!r}, since its strength is measured for each: "
            f"it has {', '.join(PRESETS[name])}; choose preset original and set the strength"
        )
    return fragments[name]
