"""Sends traces and metrics to a collector, by OTLP over HTTP. It needs the extra `otel`."""

import logging
import time
from collections.abc import Callable
from threading import Event, Thread

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from prometheus_client import CollectorRegistry

import fedau2
from coordinator.telemetry.bridge import bridged
from coordinator.telemetry.spans import Spans
from fedau2.logs import Seldom

_log = logging.getLogger(__name__)

PERIOD = 30.0
"""Seconds between two reports of the metrics."""

_TIMEOUT = 5.0
"""Most seconds of a report, whose successor has what it had, and of the end."""


class Telemetry:
    """Sends what a coordinator shows. A collector that is away delays no call, and loses what was to be sent.

    Args:
        spans: sends spans.
        metrics: sends metrics.
        registry: gives the metrics; None while the coordinator starts.

    Attributes:
        spans: makes spans.
    """

    def __init__(
        self, spans: SpanExporter, metrics: MetricExporter, registry: Callable[[], CollectorRegistry | None]
    ) -> None:
        named = {"service.name": "fedau2-coordinator", "service.version": fedau2.__version__}
        self._resource = Resource.create(named)
        self._provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(spans))
        self.spans = Spans(self._provider.get_tracer("fedau2"))
        self._metrics, self._registry = metrics, registry
        self._since, self._ending, self._failures = time.time(), Event(), Seldom()
        self._thread = Thread(target=self._report, name="telemetry", daemon=True)
        self._thread.start()

    @classmethod
    def to(cls, collector: str, registry: Callable[[], CollectorRegistry | None]) -> "Telemetry":
        """Begins to send to a collector, which is a checked URL."""
        url = collector.rstrip("/")
        spans = OTLPSpanExporter(endpoint=f"{url}/v1/traces", timeout=_TIMEOUT)
        metrics = OTLPMetricExporter(endpoint=f"{url}/v1/metrics", timeout=_TIMEOUT)
        _log.info("traces and metrics go to %s", url)
        return cls(spans, metrics, registry)

    def close(self) -> None:
        """Sends what is left, and ends. It blocks for some seconds if the collector is away, and then gives up."""
        self._ending.set()
        spans = Thread(target=self._provider.shutdown, name="telemetry-spans", daemon=True)
        spans.start()
        end = time.monotonic() + _TIMEOUT
        for thread in (self._thread, spans):  # the exporters' time limit does not hold while bytes drip in
            thread.join(max(0.0, end - time.monotonic()))

    def _report(self) -> None:
        ending = False
        while not ending:
            ending = self._ending.wait(PERIOD)
            try:
                if (registry := self._registry()) is not None:
                    self._metrics.export(bridged(registry, self._resource, self._since, time.time()), _TIMEOUT * 1000)
            except Exception as error:
                if number := self._failures.count("report"):
                    _log.warning("reports of metrics failed, the last by %s: %d more", type(error).__name__, number)
        self._metrics.shutdown(_TIMEOUT * 1000)
