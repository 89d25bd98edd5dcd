"""Metrics that plug-ins add: each computes a number from the measured state, which stands in the metrics of the run."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from fedau2.plugins import PluginError, Registry
from simulator.datasets import Attribute
from simulator.datasets.split import Split
from simulator.evaluation.ranking import Ranks, Scores
from simulator.experiment.train import Trained


@dataclass(frozen=True, eq=False)
class Measurement:
    """The measured state, from which metrics are computed.

    Attributes:
        split: the items that users trained on, and those that were held out.
        ranks: of each user's test item.
        scores: maps rows of users to the scores of all items, (users, items).
        attributes: those of the run, by name.
    """

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
        PluginError: one of them failed, or is no number.
    """
    if not METRICS:
        return
    measured, evaluation = trained.measured, trained.evaluation
    scores = evaluation.scorer(measured.checkpoint, measured.private)
    measurement = Measurement(evaluation.split, ranks, scores, trained.attributes)
    for name, metric in METRICS.items():
        try:
            value = float(metric.compute(measurement))
        except (Exception, SystemExit) as error:
            raise _failed(name, f"failed: {type(error).__name__}: {error}") from error
        if not math.isfinite(value):
            raise _failed(name, f"is {value}, which is no number that a run can keep")
        yield name, value


def _failed(name: str, how: str) -> PluginError:
    return PluginError(
        f"the metric {name!r} of a plug-in {how}: repair it, or do without the plug-in, and repeat the command, which "
        "goes on after training"
    )
