"""A finished run in its folder: what it found, and the model and the state that it kept, as training left them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from export import kept_model
from export.bundle import Bundle
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire import manifest
from fedau2.wire.errors import BlobError
from simulator.config.config import Config
from simulator.datasets import Dataset
from simulator.errors import DamagedRunError, NoStateError, NotARunError, UnfinishedRunError
from simulator.evaluation.held_out import Evaluation
from simulator.evaluation.ranking import Ranks
from simulator.experiment import after_training, assembly, hiding, kept_state, outcome, resume, run_data
from simulator.experiment.kept_state import State
from simulator.experiment.parts import Parts
from simulator.experiment.resume import Best
from simulator.experiment.train import Trained
from simulator.experiment.trainer import Progress
from simulator.population.columns import ReadOnlyState
from simulator.population.population import Population
from simulator.reporting import frames

_AGAIN = "repeat the run: fedau2-sim run --config {folder}/config.yaml --out {folder} --keep state"


@dataclass(frozen=True, eq=False)
class Finished:
    """A run that has results.

    Attributes:
        folder: of the run.
        config: its configuration.
        metrics: the content of `metrics.json`.
    """

    folder: Path
    config: Config
    metrics: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Reads the folder of a run.

        Raises:
            NotARunError: it is not the folder of a run.
            UnfinishedRunError: the run has no results yet.
            DamagedRunError: its files are damaged, or do not belong together.
        """
        if not (folder / resume.CONFIG).is_file():
            raise NotARunError(f"{folder} is not the folder of a run: it has no {resume.CONFIG}")
        config, path = Config.load(folder / resume.CONFIG), folder / outcome.METRICS
        if not path.exists():
            if (folder / "audit.json").exists():
                raise NotARunError(f"{folder} is the folder of an audit: name that of a run")
            raise UnfinishedRunError(
                f"{folder} holds a run that was interrupted: finish it with the command that began it, or with "
                f"fedau2-sim run --config {folder / resume.CONFIG} --out {folder}"
            )
        try:
            metrics: dict[str, Any] = json.loads(path.read_text("utf-8"))
            changed = config.differences(metrics["configuration"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedRunError(f"{path} is damaged: repeat the run") from error
        if changed:
            raise DamagedRunError(
                f"{folder}: {resume.CONFIG} was changed after the run ({'; '.join(changed)}): change it back"
            )
        return cls(folder, config, metrics)

    def dataset(self, data: Path | Dataset | None) -> Dataset:
        """Loads the run's data set.

        Args:
            data: where it is, see `datasets.load`, or the data set itself.

        Raises:
            ConfigError: it is not the one that the run was on.
            DatasetError: it cannot be found or read.
        """
        config = self.config
        whole = run_data.dataset_of(config.data, config.engine.seed, data)
        dataset = run_data.with_positives(whole, config.plan, config.evaluation.split)
        resume.expect_same(self.folder, dataset)
        return dataset

    def ranks(self) -> Ranks:
        """Reads the ranks of the test items.

        Raises:
            DamagedRunError: they are damaged.
        """
        path = self.folder / "ranks.parquet"
        try:
            table = frames.read(path)
            return Ranks(table["rank"].to_numpy(), table["rank_full"].to_numpy())
        except (OSError, ValueError, KeyError) as error:
            raise DamagedRunError(f"{path} is damaged: repeat the run") from error

    def state(self, specs: Sequence[TensorSpec], dataset: Dataset, *, trained: bool = False) -> State:
        """Opens the state that the run kept. A model without private state is its own state.

        Args:
            specs: of the private tensors.
            dataset: of the run.
            trained: True for the state that was trained, before anything was erased from it.

        Raises:
            NoStateError: the run did not keep it.
            StateVersionError: it is of another version.
            DamagedRunError: it is damaged, or of another configuration.
        """
        again = _AGAIN.format(folder=self.folder)
        noted = kept_state.about(self.folder)
        if noted is not None:
            if self.config.differences(noted["configuration"]) or noted["round"] != self.metrics["round"]:
                raise DamagedRunError(f"{self.folder / kept_state.FOLDER} is not of this run: {again}")
            return kept_state.read(self.folder, specs, len(dataset.users), trained=trained)
        if specs:
            raise NoStateError(f"{self.folder} keeps no state of its users, which this needs: {again}")
        if trained and after_training.is_changed(self.config):
            raise NoStateError(f"{self.folder} keeps no state from before the erasure or noise: {again}")
        if after_training.adds(self.config):
            raise NoStateError(
                f"{self.folder} does not keep what an erasure or the floor of noise adds to embeddings: {again}"
            )
        return self._model(dataset)

    def _model(self, dataset: Dataset) -> State:
        again = _AGAIN.format(folder=self.folder)
        try:
            shared = kept_model.read(self.folder, dataset.items)
        except (OSError, BlobError) as error:
            raise DamagedRunError(f"{self.folder}: the model that the run kept is damaged: {error}; {again}") from error
        if shared is None:
            raise NoStateError(f"{self.folder} keeps no model: {again}")
        return State(shared, {})


def restore(run: Finished, dataset: Dataset, progress: Progress) -> Trained:
    """Returns a finished run as training left it, with the state that was trained; Adam's moments are zeros.

    Args:
        run: the run.
        dataset: as `Finished.dataset` returns it.
        progress: receives nothing where the run's policy of sums is in its folder.

    Raises:
        RunFolderError: see `Finished.state`.
    """
    config, parts = run.config, Parts.of(run.config, dataset)
    bundle = hiding.hidden(config.engine, parts, run.folder, progress)
    state = run.state(manifest.private(bundle.manifest), dataset, trained=True)
    best = Best(run.metrics["round"], checkpoint=state.shared, private=state.private, ranks=run.ranks())
    return Trained(
        config,
        parts.attributes,
        parts.known,
        bundle,
        _population(bundle, config, parts, state),
        Evaluation(bundle.manifest, parts.split, most=config.evaluation.evaluate_users),
        best,
        frames.read(run.folder / "rounds.parquet"),
        {name: run.metrics[name] for name in ("clients_trained", "bytes_up", "bytes_down", "cpu_ms", "parameters")},
        dataset.remarks(),
    )


def _population(bundle: Bundle, config: Config, parts: Parts, state: State) -> Population:
    zeros = {name: np.broadcast_to(np.float32(0), column.shape) for name, column in state.private.items()}
    steps = np.zeros(len(parts.split.train), np.int64)
    kept = ReadOnlyState(state.private, zeros, zeros, steps)
    return assembly.population_of(
        bundle, config.engine.seed, parts.split.train, parts.known, weights=parts.split.weights, state=kept
    )
