"""Coordinators whose devices call over HTTP."""

import time
from contextlib import asynccontextmanager

from coordinator.web.server import WebServer
from tests.coordinator import conftest as tools
from tests.coordinator.web.caller import OverWeb


@asynccontextmanager
async def open_web(folder, origins=(), tls=None, context=None, address="127.0.0.1:0", clock=time.monotonic, **options):
    """A lab whose devices call over HTTP. `lab.web` is the server, and `clock` the one by which callers are cut off."""
    async with tools.open_lab(folder, **options) as lab:
        web = await WebServer.start(address, lambda: lab.coordinator.devices, origins, tls, clock)
        try:
            lab.web, lab.link = web, OverWeb(web.address, lab.coordinator, context)
            yield lab
        finally:
            await web.stop()
