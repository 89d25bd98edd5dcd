"""Metrics that plug-ins add: each computes a number from the measured state, which stands in the metrics of the run."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedau2.plugins import PluginError, Registry
from simulator.datasets import Attribute
from simulator.datasets.split import Split
from simulator.evaluation.ranking import Ranks, Scores
from simulator.experiment.train import Trained


@dataclass(frozen=True, eq=False)
class Measurement:
    """The measured state of the users who are ranked, from which metrics are computed.

    These are all users, or with `evaluation.evaluate_users` a sample of them. Everything else is of these users alone,
    in their order, so that a row is a place in `users`.

    Attributes:
        users: their rows in the data set, int64 (users,).
        split: the items that they trained on, and those that were held out.
        ranks: of each one's test item.
        scores: maps places in `users` to the scores of all items, (places, items).
        attributes: those of the run, by name.
    """

    users: NDArray[np.int64]
    split: Split
    ranks: Ranks
    scores: Scores
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class Metric:
    """A metric of a plug-in.

    Attributes:
        compute: computes it.
    """

    compute: Callable[[Measurement], float]


METRICS: Registry[Metric] = Registry("metrics", Metric, {})


def measure(trained: Trained, ranks: Ranks) -> Iterator[tuple[str, float]]:
    """Yields name and value of every metric that a plug-in adds.

    Raises:
        PluginError: one of them failed, or is infinite or not a number.
    """
    if not METRICS:
        return
    measured, evaluation = trained.measured, trained.evaluation
    scorer, users = measured.scorer(evaluation), evaluation.users
    labelled = {name: replace(known, labels=known.labels[users]) for name, known in trained.attributes.items()}
    split = evaluation.split.of(users)
    measurement = Measurement(users, split, ranks, lambda places: scorer(users[places]), labelled)
    for name, metric in METRICS.items():
        try:
            value = float(metric.compute(measurement))
        except (Exception, SystemExit) as error:
            raise _failed(name, f"failed: {type(error).__name__}: {error}") from error
        if not math.isfinite(value):
            raise _failed(name, f"is {value}, and a run keeps finite numbers only")
        yield name, value


def _failed(name: str, how: str) -> PluginError:
    return PluginError(
        f"the metric {name!r} of a plug-in {how}: repair it, or do without the plug-in, and repeat the command, which "
        "goes on after training"
    )
