"""Coordinators whose devices call over HTTP."""

import logging
import time
from contextlib import asynccontextmanager, contextmanager

from coordinator.web.server import WebServer
from tests.coordinator import conftest as tools
from tests.coordinator.web.caller import OverWeb


@asynccontextmanager
async def open_web(folder, origins=(), tls=None, context=None, address="127.0.0.1:0", clock=time.monotonic, **options):
    """A lab whose devices call over HTTP. `lab.web` is the server, and `clock` the one by which callers are cut off.

    Nothing that callers do may be an error of the HTTP server.
    """
    with errors_of_the_server() as errors:
        async with _opened(folder, origins, tls, context, address, clock, options) as lab:
            yield lab
    assert errors == []


@contextmanager
def errors_of_the_server():
    """Collects what the HTTP server and the event loop log."""
    errors, handler = [], logging.Handler(logging.WARNING)
    handler.emit = lambda record: errors.append(record.getMessage())
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield errors
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


@asynccontextmanager
async def _opened(folder, origins, tls, context, address, clock, options):
    async with tools.open_lab(folder, **options) as lab:
        web = await WebServer.start(address, lambda: lab.coordinator.devices, origins, tls, clock)
        try:
            lab.web, lab.link = web, OverWeb(web.address, lab.coordinator, context)
            yield lab
        finally:
            await web.stop()
