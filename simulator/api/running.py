"""Runs a configuration, and loads a finished run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from export.plan.fragments import Fragment, nest
from simulator.api.progress import Shown, shown
from simulator.api.result import Result
from simulator.config.config import Config, model_of
from simulator.config.presets import preset as settings_of
from simulator.datasets import Dataset
from simulator.errors import ConfigError
from simulator.experiment import alone
from simulator.experiment import run as running
from simulator.experiment.asked import Kind
from simulator.experiment.finished import Finished
from simulator.experiment.run import Keep
from simulator.reporting.trackers.contract import Tracker

Place = str | os.PathLike[str]


def run(
    config: Config | Fragment,
    folder: Place,
    *,
    preset: str | None = None,
    data: Place | Dataset | None = None,
    attacks: Kind = "full",
    keep: Keep = "model",
    progress: Shown = None,
    trackers: Sequence[Tracker] = (),
) -> Result:
    """Trains, evaluates and attacks a configuration, as `fedau2-sim run` does.

    An interrupted run goes on when it is started again with the same arguments. A finished one is done again.

    Args:
        config: the configuration, or what differs from the defaults by path: `{"engine.rounds": 40}`.
        folder: of the run; made if it is not there.
        preset: a method by name, below `config`; only for settings by path.
        data: the data set itself, or the folder where it is, see `load_dataset`; None: the usual places. The name of a
            data set that is given need not be in settings by path.
        attacks: `full`, `quick` (in at most 4 splits, of 4,000 users) or `none`.
        keep: `model` keeps the shared tensors, `state` also those of every user, and `none` nothing.
        progress: `bars` shows bars in a terminal or notebook, and None nothing. An object needs the methods
            `start(what, total, done)` and `advance(text)`.
        trackers: open; they receive the metrics.

    Raises:
        SimulatorError: the configuration, the data set or the folder cannot be used, or the disk is too small.
        KeyboardInterrupt: interrupted. During the attacks, all that was found is in the folder, and `load` reads it.

    Examples:
        >>> import tempfile
        >>> small = {"data.dataset": "synthetic", "data.users": 60, "data.items": 200, "engine.rounds": 2}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = run(small, folder, attacks="none", keep="state")
        ...     item = result.recommend(result.users["id"][0], top=1)["item"][0]
        >>> item in result.dataset.items
        True
    """
    source, place = _source(data), _place(folder)
    configuration = _configuration(config, preset, source)
    with shown(progress, place.name) as display:
        metrics = running.run(configuration, place, source, display, trackers, keep=keep, attacks=attacks)
    return Result(Finished(place, configuration, metrics), source)


def load(folder: Place, data: Place | Dataset | None = None) -> Result:
    """Loads a finished run.

    Args:
        folder: of the run.
        data: as for `run`. Only users, recommendations, state and attacks need it.

    Raises:
        NotARunError: it is not the folder of a run.
        UnfinishedRunError: the run was interrupted before it had results.
        DamagedRunError: its files are damaged, or do not belong together.
    """
    return Result(Finished.open(_place(folder)), _source(data))


def train_alone(
    config: Config | Fragment, *, data: Place | Dataset | None = None, progress: Shown = None
) -> dict[str, float]:
    """Trains every user's model on that user's records alone: the lower bound of what sharing gives.

    Args:
        config: as for `run`, without adversaries; settings by path are laid over the preset `original`.
        data: as for `run`.
        progress: as for `run`.

    Returns:
        HR@10 and NDCG@10 on test items by name, as in the metrics of a run, and `round`, the rounds of training that
        were best on validation items.

    Raises:
        SimulatorError: the configuration or the data set cannot be used.

    Examples:
        >>> small = {"data.dataset": "synthetic", "data.users": 60, "data.items": 200, "engine.rounds": 2}
        >>> train_alone(small)["round"]
        2
    """
    source = _source(data)
    configuration = _configuration(config, None if isinstance(config, Config) else "original", source)
    with shown(progress, "alone") as display:
        return alone.train_alone(configuration, source, display)


def _source(data: Place | Dataset | None) -> Path | Dataset | None:
    return data if data is None or isinstance(data, Dataset) else _place(data)


def _place(folder: object) -> Path:
    if not isinstance(folder, (str, os.PathLike)):
        raise ConfigError(f"a folder must be a path, not {type(folder).__name__}")
    return Path(folder)


def _configuration(config: Config | Fragment, preset: str | None, source: Path | Dataset | None) -> Config:
    if isinstance(config, Config):
        if preset:
            raise ConfigError("a preset is laid below settings by path, and this is a whole configuration: choose one")
        return config
    if not isinstance(config, Mapping):
        raise ConfigError(f"the configuration must be a Config or a mapping of settings, not {type(config).__name__}")
    settings = nest(config)
    method = settings_of(preset, model_of(settings)) if preset else {}
    named = {"data.dataset": source.name} if isinstance(source, Dataset) else {}
    return Config.of(named, method, settings)
