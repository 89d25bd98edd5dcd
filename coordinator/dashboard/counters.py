"""The coordinator's counters of bytes and rejections, read from its metrics. They count all tasks since its start."""

import asyncio
import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from coordinator.errors import CallError
from fedau2.wire import addresses

_TIMEOUT = 3.0
_LARGEST = 4 * 2**20
"""Most bytes of an answer that are read."""


@dataclass(frozen=True)
class Counters:
    """Counts of a coordinator since its start.

    Attributes:
        received, sent: bytes of contributions, and of blobs.
        rejections: check-ins turned away, by reason.
        refusals: uploads refused, by error.
    """

    received: int
    sent: int
    rejections: Mapping[str, int]
    refusals: Mapping[str, int]


async def read(address: str) -> Counters:
    """Reads the counters from the metrics address of a coordinator, `host:port` or `unix:PATH`.

    Raises:
        CallError: nobody answers there, or the answer is not that of a coordinator.
    """
    try:
        return parsed(await asyncio.to_thread(_fetched, address))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CallError(f"the metrics on {address} cannot be read: {error}") from error


def parsed(text: str) -> Counters:
    """Reads the counters in the text format of Prometheus.

    Raises:
        ValueError: it is another text.
    """
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(name: str) -> int:
        return int(sum(sample.value for sample in samples if sample.name == name))

    def by(name: str, label: str) -> dict[str, int]:
        return {sample.labels[label]: int(sample.value) for sample in samples if sample.name == name}

    if not any(sample.name == "fedau2_received_bytes_total" for sample in samples):
        raise ValueError("it has no counters of a coordinator")
    return Counters(
        total("fedau2_received_bytes_total"),
        total("fedau2_sent_bytes_total"),
        by("fedau2_rejections_total", "reason"),
        by("fedau2_refused_uploads_total", "error"),
    )


def _fetched(address: str) -> str:
    path = addresses.unix_path(address)
    connection = http.client.HTTPConnection("localhost" if path else address, timeout=_TIMEOUT)
    try:
        if path is not None:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(_TIMEOUT)
            connection.sock.connect(path)
        connection.request("GET", "/metrics")
        return connection.getresponse().read(_LARGEST).decode()
    finally:
        connection.close()
