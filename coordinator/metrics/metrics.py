"""The metrics that a coordinator shows to Prometheus: counts and times, nothing that distinguishes devices."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from time import perf_counter
from types import TracebackType

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from coordinator.aggregation.norms import HIGHEST, LOWEST
from coordinator.metrics.round_end import RoundEnd
from coordinator.metrics.session_traces import SessionTraces
from coordinator.model.effects import Abandoned, Effect, Expired, Failed, Refused, Reported

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600)

Gauges = Iterable[tuple[str, str, float, dict[str, str]]]
"""Name, help, value, labels."""


class Metrics:
    """The metrics of one coordinator, in a registry of their own.

    Attributes:
        registry: the metrics that are scraped.
        followers: are called with each round that ends, on the event loop.
    """

    def __init__(self) -> None:
        self.followers: list[Callable[[RoundEnd], None]] = []
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._traces = SessionTraces()
        self._rounds = self._counter("fedau2_rounds_committed", "Rounds committed.", "population")
        self._skipped = self._counter("fedau2_rounds_skipped", "Rounds that were given up.", "population")
        self._refused = self._counter("fedau2_refused_members", "Contributions that the unmasker did not count.")
        self._abandoned = self._counter("fedau2_attempts_abandoned", "Attempts at a round that were abandoned.")
        outcomes = self._counter("fedau2_assignments", "Assignments that ended, by outcome.", "outcome")
        self._outcomes = {
            Reported: outcomes.labels("reported"),
            Failed: outcomes.labels("failed"),
            Expired: outcomes.labels("expired"),
        }
        self.rejections = self._counter("fedau2_rejections", "Check-ins turned away, by reason.", "reason")
        self.admissions = self._counter("fedau2_admissions", "Admissions to rounds that were asked for.", "outcome")
        self.limited = self._counter("fedau2_limited_calls", "Calls beyond a limit of their caller.", "limit")
        self.refusals = self._counter("fedau2_refused_uploads", "Uploads refused, by error.", "error")
        self.cut_off = self._counter("fedau2_cut_off_uploads", "Uploads that ended before they were whole.")
        self.received = self._counter("fedau2_received_bytes", "Bytes of contributions that were received.")
        self.sent = self._counter("fedau2_sent_bytes", "Bytes of blobs that were sent.")
        self._sessions = self._counter("fedau2_sessions", "Sessions that ended, by the shape of their trace.", "shape")
        self.check_in = self._histogram("fedau2_check_in_seconds", "From a check-in to its answer.")
        self.upload = self._histogram("fedau2_upload_seconds", "From an upload's header to its acknowledgement.")
        self.sync = self._histogram("fedau2_sync_seconds", "Making a group of changes durable: log, sync and ledger.")
        self.fold = self._histogram("fedau2_fold_seconds", "Adding up a group of contributions.")

        self._norms = Histogram(
            "fedau2_contribution_norm",
            "L2 norms of contributions as they arrived, by the tensors that they are taken over.",
            ("population", "tensors"),
            registry=self.registry,
            buckets=[2.0**exponent for exponent in range(LOWEST, HIGHEST)],
        )

    def norms(self, population: str, norms: Mapping[str, float]) -> None:
        """Counts the norms of a contribution, over its shared tensors and over those of adversaries."""
        for tensors, norm in norms.items():
            self._norms.labels(population, tensors).observe(norm)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, registry=self.registry, buckets=_SECONDS)

    def effect(self, task_id: str, effect: Effect) -> None:
        """Counts an effect of a round."""
        if isinstance(effect, Abandoned):
            self._abandoned.inc()
        elif isinstance(effect, Refused):
            self._refused.inc()
        elif (outcome := self._outcomes.get(type(effect))) is not None:
            outcome.inc()
        if trace := self._traces.follow(task_id, effect):
            self._sessions.labels(trace).inc()

    def resume(self, task_id: str, assignment_ids: Iterable[bytes]) -> None:
        """Notes the sessions that were under way before a restart."""
        self._traces.resume(task_id, assignment_ids)

    def step(self, task_id: str, assignment_id: bytes, letter: str) -> None:
        """Notes a step of a session that goes on, see `session_traces`."""
        self._traces.step(task_id, assignment_id, letter)

    def round_ended(self, end: RoundEnd) -> None:
        """Counts a round that is over, and shows it to whoever follows rounds."""
        (self._skipped if end.skipped else self._rounds).labels(end.population).inc()
        for follower in self.followers:
            follower(end)

    def round_over(self, task_id: str, outliving: Collection[bytes] = ()) -> None:
        """Counts the sessions that were under way when their round ended, except those that outlive it."""
        for trace in self._traces.close(task_id, outliving):
            self._sessions.labels(trace).inc()

    def show(self, gauges: Callable[[], Gauges]) -> None:
        """Adds gauges. They are read on another thread, whenever the metrics are scraped."""
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
    """Observes the time that its block takes, if the block succeeds.

    Args:
        histogram: counts seconds.
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
