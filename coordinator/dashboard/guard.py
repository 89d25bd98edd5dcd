"""Defences against other sites: headers for browsers, and proof that a form is one of the dashboard's own."""

import asyncio
import hmac
import secrets
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.dashboard.visitors import Visitor, Visitors
from coordinator.errors import ForbiddenError

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # without a referrer, browsers would not say where a form comes from
    "x-content-type-options": "nosniff",
}
"""Headers of every answer. A page loads nothing but what the dashboard serves, and runs no script in it."""

_LONGEST = 1000
"""Most bytes of a form."""

PATIENCE = 10.0
"""Most seconds from the head of a form to its last byte."""


class Guard:
    """An ASGI application that lets visitors through, and adds `HEADERS` to every answer.

    Args:
        app: the application behind it.
        visitors: says who may come in.
    """

    def __init__(self, app: ASGIApp, visitors: Visitors) -> None:
        self._app, self._visitors = app, visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            self._visitors.visitor(scope)
        except ForbiddenError as error:
            await refused(Request(scope), error)(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


def refused(request: Request, error: Exception) -> Response:
    """Answers a visitor who is not let in, or no longer: a role may be taken away behind the guard too."""
    return PlainTextResponse(f"{error}\n", 403)


class Forms:
    """Makes and checks the tokens of forms. A page of another site can send a form, but cannot read a token."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def token(self, visitor: Visitor) -> str:
        """Returns the token of a visitor's forms, until the dashboard ends."""
        return hmac.digest(self._key, visitor.name.encode(), "sha256").hex()

    async def check(self, request: Request, visitor: Visitor) -> None:
        """Returns if a request comes from a form of the visitor's own page.

        Raises:
            ForbiddenError: it does not.
            TimeoutError: the form did not come within `PATIENCE`.
        """
        expected = f"{request.url.scheme}://{request.headers.get('host', '')}"
        if request.headers.get("origin") != expected:
            raise ForbiddenError("the form is not one of this page: nothing was changed")
        async with asyncio.timeout(PATIENCE):
            body = await _body(request)
        sent = parse_qs(body.decode("ascii", "replace")).get("token", [""])[0]
        if not hmac.compare_digest(sent.encode(), self.token(visitor).encode()):
            raise ForbiddenError("the form is of a page before the dashboard's last start: load the page again")


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST:
            raise ForbiddenError(f"a form has at most {_LONGEST} bytes")
    return body
