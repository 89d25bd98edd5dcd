"""Short names for the settings that tests change most."""

from export.plan.schema import AdversarySettings, Local
from simulator.config.config import Config
from simulator.config.sections import AfterTraining, DataSettings, EngineSettings, EvaluationSettings

_PATHS = {
    **{name: f"plan.adversary.{name}" for name in AdversarySettings.model_fields},
    **{name: f"plan.local.{name}" for name in Local.model_fields},
    **{
        name: f"{section}.{name}"
        for section, fields in (
            ("data", DataSettings),
            ("engine", EngineSettings),
            ("evaluation", EvaluationSettings),
            ("after_training", AfterTraining),
        )
        for name in fields.model_fields
    },
    "model": "plan.model.name",
    "engine": "engine.name",
    "clip_norm": "plan.server.clip_norm",
    "noise_multiplier": "plan.adversary.noise_multiplier",
    "noise_on_sums": "engine.noise_multiplier",
    "adversary_clip_norm": "plan.adversary.clip_norm",
    "server_learning_rate": "plan.server.shared.learning_rate",
    "adversary_learning_rate": "plan.server.adversary.learning_rate",
}


def fragment(**settings):
    """A fragment of a configuration; without a head there is no adversary, and `clip_norm` is the server's."""
    if settings.get("head") == "none":
        del settings["head"]
        settings = {**settings, "plan.adversaries": "none"}
    return {_PATHS.get(name, name): value for name, value in settings.items()}


def make(**settings):
    """A configuration of the defaults and some settings."""
    return Config.of(fragment(**settings))


def change(config, **settings):
    """A configuration with other settings."""
    return config.changed(fragment(**settings))
