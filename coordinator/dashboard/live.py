"""Pages that stay up to date, by server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from coordinator.dashboard import pages
from coordinator.errors import CallError, ForbiddenError

HEARTBEAT = ":\n\n"
"""A comment, by which the server notices that the browser has gone."""

_PATIENCE = 15
"""Periods between two looks while the coordinator refuses them, because it records each call that it refuses."""

STATUS = {
    "FAILED_PRECONDITION": 409,
    "NOT_FOUND": 404,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 403,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 503,
}
"""HTTP statuses of failed calls by gRPC's; 502 after any other."""


@dataclass(frozen=True)
class LivePage:
    """A page whose parts are made anew while it is open.

    Attributes:
        path: of the page, with the names of its parameters. Its events have the same path and `/live`.
        title: with the names of the path's parameters.
        parts: makes the parts for a request. Raises `CallError` if the coordinator does not answer, and
            `ForbiddenError` if the visitor may not see them.
        stopping: ends all events when it is set.
        period: seconds from one look to the next.
    """

    path: str
    title: str
    parts: Callable[[Request], Awaitable[pages.Part]]
    stopping: asyncio.Event
    period: float

    async def page(self, request: Request, notice: str = "", status: int = 200) -> Response:
        """Answers with the whole page.

        Args:
            request: for the page.
            notice: a text that stands above the parts.
            status: of the answer with a notice.
        """
        try:
            parts = await self.parts(request)
        except CallError as error:
            parts = pages.problem(str(error))
            status = status if notice else STATUS.get(error.code, 502)
        named = {name: quote(value, safe="") for name, value in request.path_params.items()}
        live = f"{self.path.format(**named).rstrip('/')}/live"
        return HTMLResponse(pages.page(self.title.format(**request.path_params), parts, live, notice), status)

    async def live(self, request: Request) -> Response:
        """Answers with the events of the page."""
        return StreamingResponse(self._events(request), media_type="text/event-stream")

    async def _events(self, request: Request) -> AsyncIterator[str]:
        """Yields the parts now and whenever they have changed, and a heartbeat when they have not."""
        last = ""
        while not self.stopping.is_set():
            wait = self.period
            try:
                now = await self.parts(request)
            except CallError as error:
                now = pages.problem(str(error))
                wait *= _PATIENCE if STATUS.get(error.code) == 403 else 1
            except ForbiddenError:
                return  # the browser asks again, and is answered why
            yield HEARTBEAT if now == last else _event(now)
            last = now
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), wait)


def _event(text: str) -> str:
    """Writes an event with a text of any number of lines."""
    return "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
