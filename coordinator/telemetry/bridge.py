"""The metrics for Prometheus as metrics of OpenTelemetry, with the same names and labels."""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

_SCOPE = InstrumentationScope("fedau2")
_CUMULATIVE = AggregationTemporality.CUMULATIVE


def bridged(registry: CollectorRegistry, resource: Resource, since: float, now: float) -> MetricsData:
    """Reads all metrics.

    Args:
        registry: of the metrics.
        resource: the coordinator, as its spans name it.
        since: time from which counters count, in seconds since 1970.
        now: the time.
    """
    times = (round(since * 1e9), round(now * 1e9))
    metrics = [Metric(family.name, family.documentation, "", _data(family, times)) for family in registry.collect()]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(_SCOPE, metrics, "")], "")])


def _data(family: Family, times: tuple[int, int]) -> Sum | Gauge | Histogram:
    if family.type == "histogram":
        return Histogram(list(_histograms(family.samples, times)), _CUMULATIVE)
    if family.type == "counter":
        counted = [sample for sample in family.samples if sample.name.endswith("_total")]
        return Sum(_numbers(counted, times), _CUMULATIVE, is_monotonic=True)
    return Gauge(_numbers(family.samples, times))


def _numbers(samples: Iterable[Sample], times: tuple[int, int]) -> list[NumberDataPoint]:
    return [NumberDataPoint(dict(sample.labels), *times, sample.value) for sample in samples]


def _histograms(samples: Iterable[Sample], times: tuple[int, int]) -> Iterator[HistogramDataPoint]:
    """Yields the histogram of each label set. Prometheus adds up the buckets below, and OpenTelemetry does not."""
    for labels, parts in _by_labels(samples).items():
        below = sorted((float(bound), int(count)) for bound, count in parts["_bucket"].items())
        counts = [count - before for (_, before), (_, count) in pairwise([(-math.inf, 0), *below])]
        bounds = [bound for bound, _ in below if math.isfinite(bound)]
        count, total = int(parts["_count"][""]), parts["_sum"][""]
        yield HistogramDataPoint(dict(labels), *times, count, total, counts, bounds, math.nan, math.nan)


def _by_labels(samples: Iterable[Sample]) -> Mapping[tuple[tuple[str, str], ...], dict[str, dict[str, float]]]:
    """Sorts the samples of a histogram by their labels but the bucket's, by their names' endings, and by bucket."""
    sorted_: dict[tuple[tuple[str, str], ...], dict[str, dict[str, float]]] = {}
    for sample in samples:
        ending = f"_{sample.name.rpartition('_')[2]}"
        if ending in ("_bucket", "_count", "_sum"):
            labels = tuple((name, value) for name, value in sample.labels.items() if name != "le")
            sorted_.setdefault(labels, {}).setdefault(ending, {})[sample.labels.get("le", "")] = sample.value
    return sorted_
