"""The way in to the web port: binary Connect calls come in, and everything else is turned away unread."""

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from coordinator.model.caller import CALLER, Caller
from fedau2.wire.status import RETRY_METADATA

_CONTENT = ("application/proto", "application/connect+proto")
"""Content types of a call with one request, and of a call with streams."""


class Gate:
    """An ASGI application that lets the calls of the Connect protocol through, and no others.

    Args:
        calls: the application that answers them.
    """

    def __init__(self, calls: ASGIApp) -> None:
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        CALLER.set(Caller(scope["client"][0] if scope.get("client") else ""))
        if not all(name.isascii() and value.isascii() for name, value in scope["headers"]):
            await PlainTextResponse("headers are ASCII\n", 400)(scope, receive, send)
        elif scope["method"] == "POST" and dict(scope["headers"]).get(b"content-type", b"").decode() not in _CONTENT:
            text = f"send {' or '.join(_CONTENT)}\n"
            await PlainTextResponse(text, 415, {"accept-post": ", ".join(_CONTENT)})(scope, receive, send)
        else:
            await self._calls(scope, receive, send)


def open_to(origins: tuple[str, ...], calls: ASGIApp) -> ASGIApp:
    """Lets the pages of some origins make calls, in browsers. Other callers than browsers need no origin.

    Args:
        origins: for example "https://shop.example.com"; ("*",): every page.
        calls: the application that answers.
    """
    return CORSMiddleware(
        Gate(calls),
        allow_origins=origins,
        allow_methods=("POST",),
        allow_headers=("*",),  # tokens for a proxy; the coordinator reads none, and takes no cookies
        expose_headers=(f"trailer-{RETRY_METADATA}",),
        max_age=7200,
    )
