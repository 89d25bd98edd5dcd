"""The metrics as OpenTelemetry has them: the same names, labels and numbers as for Prometheus."""

import json
from itertools import pairwise

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import Gauge, Histogram, Sum
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as PrometheusHistogram

from coordinator.metrics.metrics import Metrics
from coordinator.telemetry.bridge import bridged

HERE = Resource({"service.name": "here"})


def metrics_of(registry):
    (resource,) = bridged(registry, HERE, 10.0, 20.0).resource_metrics
    (scope,) = resource.scope_metrics
    assert resource.resource is HERE
    return {metric.name: metric for metric in scope.metrics}


def test_each_metric_has_its_kind_its_labels_and_its_numbers():
    metrics = Metrics()
    metrics.rejections.labels("FULL").inc(3)
    metrics.norms("movies", {"shared": 0.5})
    metrics.show(lambda: [("fedau2_live", "Live.", 7.0, {"population": "movies"})])
    bridge = metrics_of(metrics.registry)
    assert bridge.keys() == {family.name for family in metrics.registry.collect()}
    rejections, live, norms = (bridge[f"fedau2_{name}"].data for name in ("rejections", "live", "contribution_norm"))
    assert isinstance(rejections, Sum)
    assert rejections.is_monotonic
    (point,) = rejections.data_points
    assert (dict(point.attributes), point.value) == ({"reason": "FULL"}, 3.0)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (10_000_000_000, 20_000_000_000)
    assert isinstance(live, Gauge)
    assert live.data_points[0].value == 7.0
    assert isinstance(norms, Histogram)
    assert dict(norms.data_points[0].attributes) == {"population": "movies", "tensors": "shared"}


@given(st.lists(st.floats(0, 20)), st.lists(st.integers(1, 15), min_size=1, unique=True).map(sorted))
def test_histograms_count_each_value_once(values, bounds):
    registry = CollectorRegistry()
    histogram = PrometheusHistogram("h", "H.", registry=registry, buckets=bounds)
    for value in values:
        histogram.observe(value)
    (point,) = metrics_of(registry)["h"].data.data_points
    assert list(point.explicit_bounds) == bounds
    edges = [-1.0, *bounds, float("inf")]
    expected = [sum(low < value <= high for value in values) for low, high in pairwise(edges)]
    assert (list(point.bucket_counts), point.count) == (expected, len(values))
    assert point.sum == pytest.approx(sum(values))


def test_it_can_be_encoded():
    encoding = pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.common.metrics_encoder", reason="the extra otel is not installed"
    )
    data = bridged(Metrics().registry, HERE, 10.0, 20.0)
    assert b"fedau2_rounds_committed" in encoding.encode_metrics(data).SerializeToString()
    assert json.loads(data.to_json())
