"""Metrics that plug-ins add: each computes a number from the measured state, which stands in the metrics of the run."""

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
        PluginError: one of them failed.
    """
    if not METRICS:
        return
    scores = trained.measured.scorer(trained.evaluation)
    measurement = Measurement(trained.evaluation.split, ranks, scores, trained.attributes)
    for name, metric in METRICS.items():
        try:
            yield name, float(metric.compute(measurement))
        except Exception as error:
            raise PluginError(
                f"the metric {name!r} of a plug-in failed: {type(error).__name__}: {error}: repair it, or do "
                "without the plug-in, and repeat the command, which goes on after training"
            ) from error
