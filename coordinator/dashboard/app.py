"""The dashboard as an ASGI application."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from coordinator.dashboard import pages, view
from coordinator.dashboard.admin import CHANGES, Admin
from coordinator.dashboard.counters import Counters
from coordinator.dashboard.guard import PATIENCE, Forms, Guard, refused
from coordinator.dashboard.live import STATUS, LivePage
from coordinator.dashboard.visitors import Visitor, Visitors
from coordinator.errors import CallError, ForbiddenError
from coordinator.grpc.operators import Role
from fedau2.logs import Seldom

_log = logging.getLogger(__name__)

PERIOD = 2.0
"""Seconds from one look at the coordinator to the next, of a page that is open."""


@dataclass(frozen=True)
class Dashboard:
    """The pages of a coordinator's tasks.

    Attributes:
        admin: calls the coordinator.
        visitors: says who may look, and who may change something.
        counters: reads the coordinator's counters, or raises `CallError`; None: they are not shown.
        stopping: ends the events of open pages when it is set.
        period: see `PERIOD`.
        forms: makes and checks the tokens of forms.
        refusals: counts changes that are refused, for the log.
    """

    admin: Admin
    visitors: Visitors
    counters: Callable[[], Awaitable[Counters]] | None
    stopping: asyncio.Event
    period: float = PERIOD
    forms: Forms = field(default_factory=Forms)
    refusals: Seldom = field(default_factory=Seldom)

    def app(self) -> ASGIApp:
        """Makes the application."""
        tasks = LivePage("/", "Tasks", self._tasks, self.stopping, self.period)
        routes = [
            Route("/", tasks.page),
            Route("/live", tasks.live),
            Route("/tasks/{task_id}", self._page.page),
            Route("/tasks/{task_id}/live", self._page.live),
            Route("/tasks/{task_id}/stop", self._ask, methods=["GET"]),
            Route("/tasks/{task_id}/{change}", self._change, methods=["POST"]),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ]
        return Guard(Starlette(routes=routes, exception_handlers={ForbiddenError: refused}), self.visitors)

    @property
    def _page(self) -> LivePage:
        return LivePage("/tasks/{task_id}", "Task {task_id}", self._task, self.stopping, self.period)

    async def _tasks(self, request: Request) -> pages.Part:
        self.visitors.visitor(request.scope)
        return pages.tasks(await self.admin.tasks())

    async def _task(self, request: Request) -> pages.Part:
        visitor = self.visitors.visitor(request.scope)
        shown = await view.of_task(self.admin, request.path_params["task_id"])
        token = self.forms.token(visitor) if self._may_change(visitor) else ""
        if self.counters is None:
            return pages.task(shown, None, token)
        try:
            return pages.task(shown, await self.counters(), token)
        except CallError as error:
            return pages.problem(str(error)) + pages.task(shown, None, token)

    def _may_change(self, visitor: Visitor) -> bool:
        """Returns True if both the visitor and the dashboard have the role for it."""
        granted = self.admin.role
        return granted is not None and min(visitor.role, granted) >= Role.OPERATOR

    async def _ask(self, request: Request) -> Response:
        """Asks whether a task shall be stopped for good. Nothing is changed by it."""
        visitor, task_id = self.visitors.visitor(request.scope), request.path_params["task_id"]
        try:
            await self.admin.task(task_id)  # whose answer names the role of the dashboard
        except CallError:
            return await self._page.page(request)
        if not self._may_change(visitor):
            return await self._page.page(request, "you may look only: to stop a task needs the role operator", 403)
        question = pages.stop(task_id, self.forms.token(visitor))
        return HTMLResponse(pages.page(f"Stop task {task_id}?", question))

    async def _change(self, request: Request) -> Response:
        """Changes a task, as the form of its page says, and goes back to the page."""
        visitor, task_id = self.visitors.visitor(request.scope), request.path_params["task_id"]
        change = request.path_params["change"]
        if change not in CHANGES:
            return await self._page.page(request, f"a task has no change {change!r}", 404)
        try:
            await self.forms.check(request, visitor)
            visitor = self.visitors.visitor(request.scope)  # again, because the form may have taken its time
            if visitor.role < Role.OPERATOR:
                raise ForbiddenError(f"{visitor.name} is {visitor.role.name.lower()}, and this needs the role operator")
            await self.admin.change(task_id, change)
        except ForbiddenError as error:
            return await self._refused(request, visitor, str(error), 403)
        except TimeoutError:
            late = f"the form did not come within {PATIENCE:.0f} seconds: nothing was changed"
            return await self._refused(request, visitor, late, 408)
        except CallError as error:
            return await self._refused(request, visitor, str(error), STATUS.get(error.code, 502))
        _log.info("%s of task %r by %s", change, task_id, visitor.name)
        return RedirectResponse(f"/tasks/{task_id}", 303)

    async def _refused(self, request: Request, visitor: Visitor, why: str, status: int) -> Response:
        change = request.path_params["change"]
        if number := self.refusals.count(change):
            times = f", {number} changes since the last such line" if number > 1 else ""
            _log.warning("%s of a task by %s is refused%s: %s", change, visitor.name, times, why)
        return await self._page.page(request, why, status)
