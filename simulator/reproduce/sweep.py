"""Sweeps: a file says which settings are tried, and the machinery that repeats the paper's experiments runs them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from export.errors import PlanError
from export.plan import defaults, strict_yaml
from export.plan.explain import explain
from export.plan.fragments import flat
from export.plan.types import Flag, Section, Text, Whole
from fedau2.similar import did_you_mean
from simulator.config.presets import PRESETS
from simulator.errors import ConfigError
from simulator.reproduce import column_names
from simulator.reproduce.experiments import ATTACKS, QUALITY, Experiment, Method
from simulator.reproduce.grid import Choice

MODEL, DATASET, ATTRIBUTES, PRESET, SEED = (
    *("plan.model.name", "data.dataset", "data.attributes"),
    *("preset", "engine.seed"),
)


class Sweep(Section):
    """The content of a sweep's file.

    Attributes:
        base: settings of all runs, by path; `preset` may be among them.
        grid: the values that are tried of further settings. All combinations are run.
        seeds: one run each of every combination.
        original: True to run the Original too, with which every combination is compared.
        metrics: columns of the table.
    """

    base: dict[Text, Any] = Field(default_factory=dict)
    grid: Annotated[dict[Text, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[Whole, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 2)
    original: Flag = True
    metrics: Annotated[tuple[Text, ...], Field(min_length=1)] = (*QUALITY, *ATTACKS)


def read(path: Path) -> Sweep:
    """Reads a sweep's file.

    Raises:
        ConfigError: it cannot be read, or is not a sweep.
    """
    document: Any = {}
    try:
        document = strict_yaml.load(path.read_text("utf-8"))
        if not isinstance(document, Mapping):
            raise ConfigError(
                f"{path}: not a sweep: a mapping with the keys {', '.join(Sweep.model_fields)} is expected"
            )
        sweep = Sweep.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, Sweep, document)}") from error
    except (OSError, UnicodeDecodeError, PlanError) as error:
        raise ConfigError(f"{path}: not a sweep: {' '.join(str(error).split())}") from error
    base = {name for name, _ in flat(sweep.base)}
    if twice := sorted(base & sweep.grid.keys()):
        raise ConfigError(f"{path}: {twice[0]} is in base and in grid: name it once")
    if SEED in base | sweep.grid.keys():
        raise ConfigError(f"{path}: {SEED} is what seeds lists: leave it out of base and grid")
    if wrong := [why for name in sweep.metrics if (why := column_names.why_unknown(name))]:
        raise ConfigError(f"{path}: metrics: {wrong[0]}")
    for preset in sweep.grid.get(PRESET, [dict(flat(sweep.base)).get(PRESET, "paper")]):
        if preset not in PRESETS:
            meant = did_you_mean(str(preset), PRESETS)
            raise ConfigError(f"{path}: there is no preset {preset!r}; there is {', '.join(PRESETS)}{meant}")
    return sweep


def experiment_of(sweep: Sweep, name: str) -> tuple[Experiment, Choice]:
    """Makes the experiment that a sweep describes, and the choice of all of it.

    Args:
        sweep: the sweep.
        name: of the experiment.
    """
    base = dict(flat(sweep.base))
    preset = base.pop(PRESET, "paper")
    chosen = {path: sweep.grid.get(path) or [base.pop(path, usual)] for path, usual in _USUAL.items()}
    attributes = base.get(ATTRIBUTES, ["gender"])
    tried = {path: values for path, values in sweep.grid.items() if path not in _USUAL}
    short = _short_names(list(tried))
    methods = [_method(dict(zip(tried, values, strict=True)), short, preset) for values in product(*tried.values())]
    plot = "frontier" if {"ndcg@10", "bacc_strong"} <= {*sweep.metrics} else "dots"
    experiment = Experiment(name, f"Sweep {name}", "", methods, sweep.metrics, plot=plot)
    names = None if sweep.original else [method.name for method in methods]
    return experiment, Choice(chosen[MODEL], chosen[DATASET], [attributes[0]], sweep.seeds, names, base)


_USUAL = {MODEL: defaults.MODEL, DATASET: "ml-100k"}
"""Settings by which tables are grouped, and their defaults."""


def _method(values: Mapping[str, Any], short: Mapping[str, str], preset: str) -> Method:
    named = "_".join(f"{short[path]}-{_text(value)}" for path, value in values.items())
    change = {path: value for path, value in values.items() if path != PRESET}
    return Method(named or preset, str(values.get(PRESET, preset)), change)


def _text(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def _short_names(paths: Sequence[str]) -> dict[str, str]:
    """Returns for each path its last words, as many as tell it from the others."""
    names = {}
    for path in paths:
        words = path.split(".")
        ends = [".".join(words[-count:]) for count in range(1, len(words) + 1)]
        names[path] = next(end for end in ends if Counter(_ends_in(other, end) for other in paths)[True] == 1)
    return names


def _ends_in(path: str, end: str) -> bool:
    return f".{path}".endswith(f".{end}")
