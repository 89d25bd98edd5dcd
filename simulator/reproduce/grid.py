"""The grid of an experiment: every cell's configuration, made and checked before any training starts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from client_sdk.kernel.models import RECOMMENDERS
from export.plan.fragments import Fragment, flat
from simulator.config import presets
from simulator.config.config import Config
from simulator.config.own_files import OwnFiles
from simulator.config.presets import preset
from simulator.datasets import Dataset, synthetic
from simulator.datasets.split import leave_one_out
from simulator.errors import ConfigError, SimulatorError
from simulator.experiment import checks, resume, run_data
from simulator.reporting.file_names import file_name
from simulator.reproduce.experiments import ORIGINAL, TOGETHER, Experiment, Method

QUICK: Fragment = {"engine.rounds": 60, "evaluation.evaluate_every": 10, "evaluation.attack_splits": 2}
"""Settings of a look in a minute or two."""

_MODEL = "plan.model.name"

_MATCHED = {
    "engine.rounds": "rounds",
    "engine.fraction": "fraction",
    "plan.local.steps": "steps",
    "plan.server.shared.learning_rate": "server-lr",
    "plan.local.private_learning_rate": "private-lr",
    "plan.local.shared_learning_rate": "shared-lr",
}
"""Settings that an Original has in common with the method that it is compared with, and their names in its name."""

_UNLEARNING = (
    *("plan.adversaries", "plan.matchings", "plan.matching", "plan.erased", "plan.eraser", "engine.plain_statistics"),
    *("engine.local_noise", "engine.apm", "after_training"),
)
"""Settings, or their sections, that an Original leaves at their defaults, even where all runs are to have them."""


@dataclass(frozen=True)
class Choice:
    """The part of an experiment that is run.

    Attributes:
        models: recommenders.
        datasets: data sets.
        attributes: attributes; those that `TOGETHER` joins are unlearned by the same run.
        seeds: one run each.
        methods: names of methods; None: all methods of the experiment that fit.
        settings: settings of every cell, by dotted path in a configuration.
    """

    models: Sequence[str]
    datasets: Sequence[str]
    attributes: Sequence[str]
    seeds: Sequence[int]
    methods: Sequence[str] | None
    settings: Fragment


@dataclass(frozen=True)
class Cell:
    """One run of the grid.

    Attributes:
        method: its row in the table.
        config: what to run.
        original: name of the run that it is compared with; empty: no run.
    """

    method: str
    config: Config
    original: str = ""

    @property
    def name(self) -> str:
        """Name of its run folder, decided by the cell alone."""
        data, config = self.config.data, self.config
        attributes = ",".join(data.attributes)
        parts = (config.plan.model.name, data.dataset, attributes, self.method, f"seed-{config.engine.seed}")
        return "_".join(map(file_name, parts))


def build(experiment: Experiment, choice: Choice) -> list[Cell]:
    """All cells, the Originals of a group before its methods.

    Raises:
        ConfigError: a model or a method that does not exist, or a configuration that cannot be run.
    """
    _known("model", choice.models, RECOMMENDERS)
    named = {method.name: method for method in experiment.methods}
    _known("method", choice.methods or (), (ORIGINAL, *named))
    cells: dict[str, Cell] = {}
    for model, dataset, attribute in product(choice.models, choice.datasets, choice.attributes):
        base = {
            "plan.model.name": model,
            "data.dataset": dataset,
            "data.attributes": attribute.split(TOGETHER),
            "engine.workers": 1,
            **experiment.settings,
        }
        methods = [named[name] for name in choice.methods or named if name != ORIGINAL]
        hindered = {method.name: why for method in methods if (why := _hindrance(base, method, choice))}
        if choice.methods is not None and hindered:
            raise ConfigError("; ".join(hindered.values()))
        methods = [method for method in methods if method.name not in hindered]
        for cell in _group(base, methods, choice):
            if cells.setdefault(cell.name, cell) != cell:
                raise ConfigError(f"two runs would share the folder {cell.name}: give each an --out of its own")
    return list(cells.values())


def _group(base: Fragment, methods: Sequence[Method], choice: Choice) -> Iterable[Cell]:
    """Originals, then methods, of one model, data set and attribute."""
    originals, others = [], []
    papers = _original(base, Method(ORIGINAL, "paper"), choice, 0)
    for method, seed in product(methods, choice.seeds):
        original = _original(base, method, choice, seed)
        compared = Cell(_original_name(original, papers), original)
        originals.append(compared)
        others.append(Cell(method.name, _config(base, method, choice, seed), compared.name))
    if not methods:
        originals = [Cell(ORIGINAL, _original(base, Method(ORIGINAL, "paper"), choice, seed)) for seed in choice.seeds]
    if choice.methods is not None and ORIGINAL not in choice.methods:
        return [Cell(cell.method, cell.config) for cell in others]
    return [*sorted(originals, key=lambda cell: cell.method), *others]


def _hindrance(base: Fragment, method: Method, choice: Choice) -> str:
    """Returns why a method cannot be run: no preset for the recommender, or no round to unlearn in. Else nothing."""
    if method.preset not in presets.of_model(base[_MODEL]):
        return f"{method.name} has no preset for {base[_MODEL]}"
    config = _config(base, method, choice, 0)
    adversary, rounds = config.plan.adversary, config.engine.rounds
    if adversary.trigger != "pretrain" or adversary.pretrain_rounds < rounds:
        return ""
    return f"{method.name} pretrains for {adversary.pretrain_rounds} rounds, and rounds is {rounds}: no round is left"


def left_out(experiment: Experiment, choice: Choice, cells: Sequence[Cell]) -> list[str]:
    """Returns the methods that do not fit a recommender or the number of rounds, where all of an experiment are run."""
    if choice.methods is not None:
        return []
    built = {(cell.config.plan.model.name, cell.method) for cell in cells}
    pairs = product(choice.models, (method.name for method in experiment.methods))
    return [f"{method} with {model}" for model, method in pairs if (model, method) not in built]


def _settings(base: Fragment, method: Method) -> dict[str, Any]:
    return {**preset(method.preset, base[_MODEL]), **method.change}


def _config(base: Fragment, method: Method, choice: Choice, seed: int) -> Config:
    return Config.of({**base, **_settings(base, method), **choice.settings, "engine.seed": seed})


def _original(base: Fragment, method: Method, choice: Choice, seed: int) -> Config:
    matched = {path: value for path, value in _settings(base, method).items() if path in _MATCHED}
    shared = {path: value for path, value in {**base, **matched, **choice.settings}.items() if not _unlearns(path)}
    return Config.of({**shared, **preset(ORIGINAL, base[_MODEL]), "engine.seed": seed})


def _unlearns(path: str) -> bool:
    return any(path == setting or path.startswith(f"{setting}.") for setting in _UNLEARNING)


def _original_name(config: Config, papers: Config) -> str:
    """Returns `original`, and how it differs from that of the paper's method."""
    values, usual = dict(flat(config.document())), dict(flat(papers.document()))
    return "-".join(
        [ORIGINAL, *(f"{short}-{values[path]:g}" for path, short in _MATCHED.items() if values[path] != usual[path])]
    )


def check(cells: Sequence[Cell], folder: Path, data_dir: Path | None) -> None:
    """Loads each data set once, checks every cell on it, and reads every run folder that exists.

    Args:
        cells: of the grid.
        folder: with the run folders.
        data_dir: see `datasets.load`.

    Raises:
        ConfigError: an attribute that a data set does not have, or run folders with other settings or on other data.
        SimulatorError: a data set that cannot be used, or a cell that cannot be run.
    """
    datasets: dict[tuple[Any, ...], Dataset] = {}
    others = []
    for cell in cells:
        config, key = cell.config, _data(cell.config)
        if key not in datasets:
            datasets[key] = run_data.dataset_of(config.data, config.engine.seed, data_dir)
            leave_one_out(datasets[key], config.evaluation.split)
        path = folder / cell.name
        try:
            checks.check(config, datasets[key])
            if not (path / "metrics.json").exists():
                checks.expect_room(config.plan.model, datasets[key], path)
        except SimulatorError as error:
            raise type(error)(f"{cell.name}: {error}; of an experiment --method chooses the methods") from error
        if resume.other_settings(path, config):
            others.append(cell.name)
        else:
            resume.expect_same(path, datasets[key])
    if others:
        raise ConfigError(
            f"{folder} holds runs with other settings, which are not mixed with these: {', '.join(others)}; "
            "choose another --out, or remove them"
        )


def _data(config: Config) -> tuple[Any, ...]:
    """Returns the settings that decide a cell's data."""
    data = config.data
    drawn = (config.engine.seed, data.users, data.items, data.dependence) if data.dataset == synthetic.NAME else ()
    cut = data.attributes[0] if data.balance or data.minority else ""
    settings = tuple(getattr(data, name) for name in OwnFiles.model_fields)
    return (data.dataset, data.user_core, data.item_core, data.balance, data.minority, cut, *drawn, *settings)


def _known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"there is no {what} {', '.join(map(repr, unknown))}; there is {', '.join(known)}")
