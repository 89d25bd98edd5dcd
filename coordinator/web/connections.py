"""Connections that end when their callers keep them waiting for too long, or do not speak HTTP."""

from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from coordinator.grpc.writing import SILENCE

LONGEST = 7200.0
"""Most seconds from the beginning of a connection to its end."""


class Connection(H11Protocol):
    """A connection over HTTP/1.1 that knows since when nothing has moved that its caller has to move."""

    _came = 0
    _drained = 0
    _opened: float | None = None
    _seen: tuple[Any, ...] | None = None
    _since = 0.0

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the caller."""
        self._came += len(data)
        super().data_received(data)

    def resume_writing(self) -> None:
        """Goes on after the caller has read."""
        self._drained += 1
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Ends the connection of a caller who does not speak HTTP, at once: an answer may be under way already."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        self.transport.abort()

    def overdue(self, now: float) -> bool:
        """Returns True if the caller neither sent nor read for `SILENCE`, or if the connection is older than `LONGEST`.

        Args:
            now: in seconds, by the same clock in every call. The first call begins the connection's age.
        """
        if self._opened is None:
            self._opened = now
        unread = self.transport.get_write_buffer_size()
        under_way = self.cycle is not None and not self.cycle.response_complete
        if under_way and not self.cycle.more_body and not unread:
            self._seen = None  # the caller waits for the coordinator
        else:
            # Between requests, bytes that come do not count before they are the whole head of the next.
            seen = (self.cycle, self._came if under_way else 0, unread, self._drained)
            if seen != self._seen:
                self._seen, self._since = seen, now
            elif now - self._since > SILENCE:
                return True
        return now - self._opened > LONGEST
