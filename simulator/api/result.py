"""A finished run: what it found, and what can be done with what it kept."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from fedau2.similar import did_you_mean
from fedau2.wire import manifest
from simulator.api import tables
from simulator.api.progress import Shown, shown
from simulator.config.config import Config
from simulator.datasets import Dataset
from simulator.errors import ConfigError, DamagedRunError, UnknownUserError
from simulator.evaluation import sampling
from simulator.evaluation.held_out import Evaluation
from simulator.experiment import lasting, lock, outcome
from simulator.experiment.asked import Asked, Kind
from simulator.experiment.finished import Finished, restore
from simulator.experiment.kept_state import State
from simulator.experiment.parts import Parts
from simulator.reporting import frames

MOST_ROUNDS = 100_000
"""Most further rounds of `Result.lasting`."""


class Result:
    """A finished run. `run` and `load` make it.

    Args:
        finished: the run.
        data: where its data set is, see `load`.
    """

    def __init__(self, finished: Finished, data: Path | Dataset | None) -> None:
        self._finished, self._data = finished, data

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self._finished.folder

    @property
    def config(self) -> Config:
        """The configuration of the run."""
        return self._finished.config

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of `metrics.json`."""
        return self._finished.metrics

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """A row for each round: losses, trigger rates, times, and metrics of validation where they were taken.

        Raises:
            DamagedRunError: the file is damaged.
        """
        path = self.folder / "rounds.parquet"
        try:
            return frames.read(path)
        except (OSError, ValueError) as error:
            raise DamagedRunError(f"{path} is damaged: repeat the run") from error

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, cut as the run cut it.

        Raises:
            ConfigError: it is not the one that the run was on.
            DatasetError: it cannot be found or read.
        """
        return self._finished.dataset(self._data)

    @cached_property
    def users(self) -> pd.DataFrame:
        """A row for each user: `id`, attributes, and `rank` and `rank_full` of the test item, counted from 0.

        `rank` is among the candidates, and `rank_full` among all items. A user who was not ranked has none, see
        `evaluation.evaluate_users`. Raises what `dataset` raises.
        """
        ranked = sampling.users(len(self.dataset.users), self.config.evaluation.evaluate_users)
        return tables.users(self.dataset, self._finished.ranks(), ranked)

    @cached_property
    def attacks(self) -> pd.DataFrame:
        """A row for each attack with its null. An attack that was not made has the status `not attacked`.

        `success` is the balanced accuracy, and `null_p95` the 95th percentile of the same attack on shuffled labels.
        """
        return tables.attacks(self.config, self.metrics)

    @cached_property
    def groups(self) -> pd.DataFrame:
        """A row for each attribute, metric and group of users, with the gap to the largest group.

        Columns: `attribute`, `metric`, `group`, `users`, `mean`, its 95% interval `low` and `high`, `gap`, `gap_low`,
        `gap_high`, `p` (Welch's t-test) and `p_holm`. Unknown numbers are NaN, such as intervals of a few users.
        """
        return tables.groups(self.metrics)

    @cached_property
    def state(self) -> State:
        """The tensors that all metrics come from: `shared`, and `private` of every user, (users, ...).

        Raises:
            NoStateError: the run did not keep it.
            RunFolderError: it is damaged, or of another version.
        """
        specs = manifest.private(self._parts.bundle.manifest)
        return self._finished.state(specs, self.dataset)

    @cached_property
    def _parts(self) -> Parts:
        return Parts.of(self.config, self.dataset)

    def recommend(self, user: str | int, top: int = 10) -> pd.DataFrame:
        """Recommends items to a user, as the device would that has the user's training items.

        Args:
            user: id of the user.
            top: most items.

        Returns:
            The best items: `item`, `score` (a logit), and `held_out`: `validation`, `test` or empty.

        Raises:
            UnknownUserError: there is no such user.
            ConfigError: `top` is not a number from 1 on, or the run ranked after personal steps.
            NoStateError: the run did not keep the state of its users.
            RunFolderError: it is damaged, or of another version.
        """
        if top < 1:
            raise ConfigError(f"top must be a number from 1 on, not {top}")
        if self.config.evaluation.personal_steps:
            raise ConfigError(
                "the run ranked after evaluation.personal_steps, which start from Adam's moments, and these are not "
                "kept: repeat it with personal_steps 0"
            )
        row, parts, state = self._row(str(user)), self._parts, self.state
        scorer = Evaluation(parts.bundle.manifest, parts.split).scorer(state.shared, state.private, state.addends)
        return tables.recommended(self.dataset, parts.split, row, scorer(np.array([row]))[0], top)

    def _row(self, user: str) -> int:
        ids = list(self.dataset.users)
        if user not in ids:
            known = f"there is {ids[0]!r} to {ids[-1]!r}, {len(ids):,} users"
            raise UnknownUserError(f"{self.dataset.name} has no user {user!r}{did_you_mean(user, ids)}: {known}")
        return ids.index(user)

    def attack(
        self,
        attacks: Kind = "full",
        *,
        splits: int | None = None,
        seed: int | None = None,
        workers: int | None = None,
        progress: Shown = None,
    ) -> Self:
        """Attacks the state that the run kept, and replaces the attacks in its folder: metrics, pictures and report.

        Args:
            attacks: full or quick.
            splits: random splits of each attack; None: those of the configuration.
            seed: of splits and attackers; None: the run's.
            workers: processes; None: those of the configuration.
            progress: see `run`.

        Returns:
            The run with these attacks.

        Raises:
            ConfigError: a number is out of range, the data set is another one, or the folder is in use.
            NoStateError: the run did not keep the state of its users.
            RunFolderError: it is damaged, or of another version.
            KeyboardInterrupt: interrupted; the folder keeps the attacks that it had, if they were more.
        """
        asked = self._asked(attacks, splits, seed, workers)
        with lock.hold(self.folder), shown(progress, self.folder.name) as display:
            trained = restore(self._finished, self.dataset, display)
            metrics = outcome.attack(trained, self.folder, self._data, self.metrics, asked, display)
        return type(self)(Finished(self.folder, self.config, metrics), self._data)

    def lasting(
        self,
        rounds: Sequence[int] = (10, 100),
        *,
        splits: int | None = None,
        seed: int | None = None,
        workers: int | None = None,
        progress: Shown = None,
    ) -> pd.DataFrame:
        """Attacks the state that the run kept, lets everybody train on, and attacks it again; the folder stays.

        Args:
            rounds: further rounds of everybody after which the state is attacked, besides at once.
            splits: see `attack`, as the other arguments.
            seed: of splits and attackers.
            workers: processes.
            progress: see `run`.

        Returns:
            A row for each time, attribute, group of users and target. `users` are everybody, those who joined `late`
            (`engine.late`) and those whose attribute is `unknown` to training (`data.unknown`). `on` is the state, the
            list `top50` or the `scores`. `bacc` and `auc` are the most that a family reads, beside the 95th percentile
            of the same on shuffled labels. They are NaN of a group that is too small.

        Raises:
            ConfigError, NoStateError, RunFolderError: see `attack`.
        """
        if not all(0 < number <= MOST_ROUNDS for number in rounds):
            raise ConfigError(
                f"further rounds are numbers from 1 to {MOST_ROUNDS:,}, not {', '.join(map(str, rounds))}"
            )
        asked = self._asked("full", splits, seed, workers)
        with lock.hold(self.folder), shown(progress, self.folder.name) as display:
            trained = restore(self._finished, self.dataset, display)
            return pd.DataFrame(lasting.rows(trained, rounds, asked, display))

    def _asked(self, kind: Kind, splits: int | None, seed: int | None, workers: int | None) -> Asked:
        numbers = {"evaluation.attack_splits": splits, "engine.seed": seed, "engine.workers": workers}
        config = self.config.changed({name: number for name, number in numbers.items() if number is not None})
        return Asked.of(config, kind)

    def __repr__(self) -> str:
        return f"<Result of {self.config.plan.model.name} on {self.config.data.dataset} in {self.folder}>"
