"""A run's configuration: everything that decides its result, in sections.

`data` chooses the data set, `plan` is a plan file (docs/plans.md), `engine` says how rounds are run, `evaluation` what
is measured, and `after_training` what is done to the chosen state. A part of the simulator takes the section that it
needs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import PlainSerializer, ValidationError, model_validator

from export.errors import ExportError, PlanError
from export.plan import defaults, planfile, strict_yaml
from export.plan.effects import expect_effect
from export.plan.explain import explain
from export.plan.fragments import Fragment, flat, merge, nest
from export.plan.schema import Plan
from export.plan.types import Section
from fedau2 import files
from simulator.config.sections import AfterTraining, DataSettings, EngineSettings, EvaluationSettings
from simulator.errors import ConfigError

ROUNDS: Mapping[str, int] = {"fedrap": 100}
"""Rounds to train by recommender, where they are not `USUAL_ROUNDS`."""

USUAL_ROUNDS = 600

_FREE = ("engine.workers", "engine.executor", "engine.address")
"""Settings on which no result depends."""


class Config(Section):
    """A run's configuration, complete and checked. `Config.of` makes one from what differs from the defaults."""

    data: DataSettings
    plan: Annotated[Plan, PlainSerializer(Plan.document)]
    engine: EngineSettings
    evaluation: EvaluationSettings
    after_training: AfterTraining

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.engine.local_noise and not self.plan.server.clip_norm:
            raise ValueError("engine.local_noise is in units of plan.server.clip_norm, which must be above 0 with it")
        if self.plan.server.passes and (self.engine.local_noise or self.engine.apm):
            raise ValueError(
                "engine.local_noise and engine.apm add noise in every round, and passes leave the recommender as it "
                "is: set plan.server.passes to 0"
            )
        after = self.after_training
        if self.plan.server.passes and after.erase_every:
            raise ValueError(
                "after_training.erase_every moves the state of users, and passes leave it as it is: set "
                "plan.server.passes to 0, or erase with plan.erased"
            )
        if self.evaluation.personal_steps and (after.noise or after.floor or after.erasure != "none"):
            raise ValueError(
                "evaluation.personal_steps are taken from the state that was trained, and after_training changes it: "
                "choose one"
            )
        if self.plan.erased != () and (after.noise or after.floor or after.erasure != "none"):
            raise ValueError("plan.erased and after_training both change the state of users: choose one")
        if self.plan.erased != () and self.evaluation.personal_steps:
            raise ValueError(
                "evaluation.personal_steps rank with the state that they make, and plan.erased with what devices show: "
                "choose one"
            )
        matched = self.plan.matchings != () or self.plan.erased != ()
        if matched and self.engine.sums == "plain" and not self.engine.plain_statistics:
            raise ValueError(
                "matchings and erased attributes sum statistics by class, which only sums other than plain hide: set "
                "engine.sums to grid or secure, or engine.plain_statistics to simulate them in plain sums"
            )
        if self.engine.plain_statistics and not matched:
            raise ValueError("engine.plain_statistics is for matchings or erased attributes: leave it out")
        if self.engine.plain_statistics and self.engine.sums == "plain" and self.engine.name != "batched":
            raise ValueError(
                "engine.plain_statistics is for the batched engine, since devices of a fleet refuse to send statistics "
                "by class in plain sums: set engine.sums to secure"
            )
        if self.engine.sums != "plain" and self.plan.server.clip_norm:
            raise ValueError(
                "only with engine.sums plain the server sees contributions: set plan.server.clip_norm to 0"
            )
        return self

    @property
    def adversary(self) -> str:
        """Heads of the adversaries, for titles; `none` without one."""
        return ", ".join(self.plan.heads()) or "none"

    @classmethod
    def of(cls, *fragments: Fragment) -> Self:
        """Makes a configuration of fragments, each laid over those before it and all over the defaults.

        Args:
            fragments: nested mappings or dotted paths: `{"engine.rounds": 4, "plan": {"model": {"name": "fedrap"}}}`.

        Raises:
            ConfigError: it names the setting and what would be right.
        """
        nested = [nest(fragment) for fragment in fragments]
        model = model_of(*nested)
        filled: dict[str, Any] = {name: {} for name in cls.model_fields}
        try:
            usual = {"plan": defaults.fragment(model), "engine": {"rounds": ROUNDS.get(model, USUAL_ROUNDS)}}
            for layer in (usual, *_of_model(nested, model)):
                filled = merge(filled, layer)
            config = cls.model_validate(filled)
            expect_effect(config.plan)
            return config
        except ValidationError as error:
            raise ConfigError(explain(error, cls, filled)) from error
        except ExportError as error:
            raise ConfigError(str(error)) from error

    def changed(self, fragment: Fragment) -> Self:
        """Returns the configuration with a fragment laid over it.

        Raises:
            ConfigError: see `of`.
        """
        return self.of(self.document(), fragment)

    def document(self) -> dict[str, Any]:
        """Returns all settings as `config.yaml` holds them."""
        return self.model_dump(mode="json")

    def differences(self, other: Fragment) -> list[str]:
        """Returns what differs from another configuration's document and decides the result.

        Each difference reads `setting: value there, now value here`.
        """
        mine = dict(flat(self.document()))
        # A setting that was not known yet had its default's effect.
        theirs = dict(flat(self.of({"plan.model.name": self.plan.model.name}).document())) | dict(flat(other))
        changed = [
            f"{path}: {theirs[path]}, now {value}"
            for path, value in mine.items()
            if theirs[path] != value and path not in _FREE
        ]
        return changed + [f"{path}: {theirs[path]}, now unknown" for path in theirs if path not in mine]

    def save(self, path: Path) -> None:
        """Writes YAML; the file is there whole or not at all."""
        files.write(path, planfile.dump(self.document()).encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads YAML; a setting that it leaves out has its default.

        Raises:
            ConfigError: not a configuration.
        """
        try:
            return cls.of(read(path))
        except ConfigError as error:
            raise ConfigError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def read(path: Path) -> dict[str, Any]:
    """Reads the document of a configuration, in which anything may be left out.

    Raises:
        ConfigError: the file cannot be read, or is not a configuration of this version.
    """
    try:
        values = strict_yaml.load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, PlanError) as error:
        raise ConfigError(f"{path}: not a configuration: {' '.join(str(error).split())}") from error
    sections = ", ".join(Config.model_fields)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a configuration: expected a mapping with the keys {sections}")
    if flat_keys := [key for key in values if key in _LEAVES]:
        raise ConfigError(
            f"{path}: a configuration of an earlier version: {flat_keys[0]} and all other settings now lie in the "
            f"sections {sections} (docs/plans.md says where)"
        )
    return values


_LEAVES = {"model", "attribute", "adversary", "local_steps"}.union(
    *(section.model_fields for section in (DataSettings, EngineSettings, EvaluationSettings, AfterTraining))
)
"""Settings that earlier versions had at the top."""


def model_of(*fragments: Fragment) -> str:
    """Returns the recommender that the last of some nested fragments names, or the default one."""
    return next((name for fragment in reversed(fragments) if (name := _named(fragment))), defaults.MODEL)


def _named(fragment: Fragment) -> str | None:
    plan = fragment.get("plan")
    return planfile.model_name(plan) if isinstance(plan, Mapping) else None


def _of_model(fragments: list[dict[str, Any]], model: str) -> list[dict[str, Any]]:
    """Returns the fragments without what they say of the widths and parameters of another recommender."""
    layers, current = [], defaults.MODEL
    for fragment in fragments:
        current = _named(fragment) or current
        layers.append(fragment if current == model else _without_model(fragment))
    return layers


def _without_model(fragment: dict[str, Any]) -> dict[str, Any]:
    plan = fragment.get("plan")
    if not isinstance(plan, Mapping):
        return fragment
    return {**fragment, "plan": {key: value for key, value in plan.items() if key != "model"}}
