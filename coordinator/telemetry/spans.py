"""Spans of calls and of rounds. A span has nothing that distinguishes devices, and no text of an error."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Tracer, set_span_in_context
from opentelemetry.trace.status import StatusCode

from coordinator.metrics.round_end import RoundEnd
from fedau2.wire.status import Status, StatusError

CALL = ("rpc.service", "rpc.method", "fedau2.status", "fedau2.error")
"""Attributes of a call's span. The error is the name of its class."""

ROUND = (
    *("fedau2.task", "fedau2.population", "fedau2.round", "fedau2.attempt"),
    *("fedau2.contributions", "fedau2.outcome"),
)
"""Attributes of a round's span. Its phases have no others."""


class Spans:
    """Makes the spans.

    Each call and each round begins a trace of its own, whatever the caller says: a device must not join the operator's.

    Args:
        tracer: makes single spans.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def call(self, service: str, method: str) -> Iterator[None]:
        """Traces the block that answers a call; a `coordinator.grpc.handlers.Observe`."""
        known = {"rpc.service": service, "rpc.method": method}
        span = self._tracer.start_span(f"{service}/{method}", Context(), SpanKind.SERVER, known)
        status = "OK"
        try:
            yield
        except BaseException as error:
            status = _status(error)
            span.set_attribute("fedau2.error", type(error).__name__)
            if status == Status.INTERNAL.name:
                span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.set_attribute("fedau2.status", status)
            span.end()

    def round(self, end: RoundEnd) -> None:
        """Traces a round that is over, and its phases within it."""
        known: dict[str, str | int] = {
            "fedau2.task": end.task_id,
            "fedau2.population": end.population,
            "fedau2.round": end.number,
            "fedau2.attempt": end.attempt,
            "fedau2.contributions": end.contributions,
            "fedau2.outcome": "skipped" if end.skipped else "committed",
        }
        whole = self._tracer.start_span("round", Context(), attributes=known, start_time=_nanoseconds(end.opened))
        within = set_span_in_context(whole, Context())
        for name, began, ended in end.phases():
            phase = self._tracer.start_span(name, within, start_time=_nanoseconds(began))
            phase.end(_nanoseconds(ended))
        whole.end(_nanoseconds(end.ended))


def _status(error: BaseException) -> str:
    if isinstance(error, StatusError):
        return error.status.name
    gone = isinstance(error, asyncio.CancelledError | GeneratorExit)
    return (Status.CANCELLED if gone else Status.INTERNAL).name


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
