"""What a coordinator tells Prometheus. Counts and times only: nothing here tells one device from another."""

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from types import TracebackType

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from coordinator.metrics.session_traces import Shapes
from coordinator.model.effects import Abandoned, Effect, Expired, Failed, Reported

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600)

Gauges = Iterable[tuple[str, str, float, dict[str, str]]]
"""Name, help, value, labels."""


class Metrics:
    """The metrics of one coordinator, in a registry of their own.

    Attributes:
        registry: what is scraped.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._shapes = Shapes()
        here = self.registry
        self.rounds = Counter("fedau2_rounds_committed", "Rounds committed.", ["population"], registry=here)
        self._abandoned = Counter("fedau2_attempts_abandoned", "Attempts at a round, abandoned.", registry=here)
        outcomes = Counter("fedau2_assignments", "Assignments that ended, by outcome.", ["outcome"], registry=here)
        self._outcomes = {
            Reported: outcomes.labels("reported"),
            Failed: outcomes.labels("failed"),
            Expired: outcomes.labels("expired"),
        }
        self.rejections = Counter("fedau2_rejections", "Check-ins turned away, by reason.", ["reason"], registry=here)
        self.refusals = Counter("fedau2_refused_uploads", "Uploads refused, by error.", ["error"], registry=here)
        self.cut_off = Counter("fedau2_cut_off_uploads", "Uploads that ended before they were whole.", registry=here)
        self.received = Counter("fedau2_received_bytes", "Bytes of contributions that were received.", registry=here)
        self.sent = Counter("fedau2_sent_bytes", "Bytes of blobs that were sent.", registry=here)
        self._sessions = Counter("fedau2_sessions", "Sessions that ended, by shape.", ["shape"], registry=here)
        self.check_in = self._histogram("fedau2_check_in_seconds", "From a check-in to its answer.")
        self.upload = self._histogram("fedau2_upload_seconds", "From an upload's header to its acknowledgement.")
        self.sync = self._histogram("fedau2_sync_seconds", "Of a group of changes: log, sync and ledger.")
        self.fold = self._histogram("fedau2_fold_seconds", "Of a group of contributions: adding them up.")

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, registry=self.registry, buckets=_SECONDS)

    def effect(self, task_id: str, effect: Effect) -> None:
        """Counts what has happened in a round."""
        if isinstance(effect, Abandoned):
            self._abandoned.inc()
        elif (outcome := self._outcomes.get(type(effect))) is not None:
            outcome.inc()
        if shape := self._shapes.follow(task_id, effect):
            self._sessions.labels(shape).inc()

    def resume(self, task_id: str, assignment_ids: Iterable[bytes]) -> None:
        """Takes note of sessions that were under way before a restart."""
        self._shapes.resume(task_id, assignment_ids)

    def step(self, task_id: str, assignment_id: bytes, letter: str) -> None:
        """Takes note of a step of a session that goes on: see `shapes`."""
        self._shapes.step(task_id, assignment_id, letter)

    def round_over(self, task_id: str) -> None:
        """Counts the sessions that the open round was closed on."""
        for shape in self._shapes.close(task_id):
            self._sessions.labels(shape).inc()

    def show(self, gauges: Callable[[], Gauges]) -> None:
        """Adds gauges that are read whenever the metrics are scraped, on another thread."""
        self.registry.register(_Gauges(gauges))


class _Gauges(Collector):
    def __init__(self, read: Callable[[], Gauges]) -> None:
        self._read = read

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for name, text, value, labels in self._read():
            family = families.setdefault(name, GaugeMetricFamily(name, text, labels=list(labels)))
            family.add_metric(list(labels.values()), value)
        yield from families.values()


class timed:  # noqa: N801 - used like a function, as context managers are
    """Observes how long its block takes, if it succeeds.

    Args:
        histogram: of seconds.
    """

    __slots__ = ("_histogram", "_start")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def __enter__(self) -> None:
        self._start = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._histogram.observe(perf_counter() - self._start)
