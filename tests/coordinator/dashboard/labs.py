"""Dashboards of real coordinators over gRPC, and visitors who speak HTTP."""

import asyncio
import http.client
import re
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

import grpc

from coordinator.commands import admin
from coordinator.dashboard.admin import Admin
from coordinator.dashboard.app import Dashboard
from coordinator.dashboard.server import DashboardServer
from coordinator.dashboard.visitors import Visitors
from coordinator.engine.coordinator import Coordinator
from coordinator.grpc.server import Servers
from fedau2.wire import addresses
from tests.coordinator import conftest as tools

PERIOD = 0.01


@asynccontextmanager
async def coordinator(folder, address="127.0.0.1:0", unmasker=None, **secured):
    """A coordinator that answers operators over gRPC; devices call it in process. Yields a lab with its `admin`."""
    async with await Coordinator.open(folder, unmasker=unmasker) as opened:
        servers = await Servers.start("127.0.0.1:0", address, **secured)
        try:
            await servers.serve(opened)
            lab = tools.Lab(tools.InProcess(opened), opened)
            lab.admin = servers.admin
            yield lab
        finally:
            await servers.stop()


@asynccontextmanager
async def dashboard(address, connect=None, counters=None, visitors=None, tls=None, context=None):
    """A dashboard of the coordinator at an address; yields a visitor."""
    target, options = addresses.channel(address)
    connect = connect or (lambda: grpc.aio.insecure_channel(target, options))
    stopping = asyncio.Event()
    calls = Admin(connect, partial(admin.explained, address=address))
    pages = Dashboard(calls, visitors or Visitors(None), counters, stopping, PERIOD)
    server = await DashboardServer.open(pages, "localhost:0", tls)
    try:
        yield Visitor(server.address, context, calls)
    finally:
        stopping.set()
        await server.stop()
        await calls.close()


@asynccontextmanager
async def both(folder, unmasker=None, **options):
    """A coordinator with its dashboard; yields the lab and a visitor."""
    async with coordinator(folder, unmasker=unmasker) as lab, dashboard(lab.admin, **options) as visitor:
        yield lab, visitor


@dataclass
class Answer:
    status: int
    headers: dict
    text: str

    @property
    def token(self):
        """The token of the page's form; None: it has no form."""
        shown = re.search(r'name="token" value="([0-9a-f]+)"', self.text)
        return shown and shown[1]

    @property
    def buttons(self):
        return re.findall(r"<button[^>]*>([^<]*)</button>|<a class=\"button[^>]*>([^<]*)</a>", self.text)


class Visitor:
    """Visits a dashboard, on a new connection each time. `calls` are those of the dashboard to the coordinator."""

    def __init__(self, address, context, calls):
        self.address, self._context, self.calls = address, context, calls
        self.origin = f"{'http' if context is None else 'https'}://{address}"

    async def get(self, path, **headers):
        return await asyncio.to_thread(self._ask, "GET", path, None, headers)

    async def post(self, path, token=None, **headers):
        """Sends a form as the page's own would be."""
        body = urlencode({} if token is None else {"token": token})
        headers = {"Origin": self.origin, "Content-Type": "application/x-www-form-urlencoded", **headers}
        return await asyncio.to_thread(self._ask, "POST", path, body, headers)

    async def half_a_form(self, path, body):
        """Sends a form whose last byte never comes."""
        headers = {"Origin": self.origin, "Content-Length": str(len(body) + 1)}
        return await asyncio.to_thread(self._ask, "POST", path, body, headers)

    @asynccontextmanager
    async def watch(self, path):
        """Yields a function that returns the parts of the next event."""
        connection = self._connection()
        try:
            response = await asyncio.to_thread(self._begun, connection, path)
            yield partial(asyncio.to_thread, _next, response)
        finally:
            connection.close()

    async def until(self, path, text):
        """Returns the first event that has a text."""
        async with self.watch(path) as following:
            while text not in (parts := await following()):
                pass
        return parts

    def _connection(self):
        if self._context is None:
            return http.client.HTTPConnection(self.address, timeout=30)
        return http.client.HTTPSConnection(self.address, timeout=30, context=self._context)

    @staticmethod
    def _begun(connection, path):
        connection.request("GET", path)
        response = connection.getresponse()
        assert (response.status, response.getheader("content-type")) == (200, "text/event-stream; charset=utf-8")
        return response

    def _ask(self, method, path, body, headers):
        connection = self._connection()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read().decode())
        finally:
            connection.close()


def _next(response):
    lines = []
    while line := response.readline().decode():
        if line == "\n" and lines:
            return "".join(lines)
        if line.startswith("data: "):
            lines.append(line.removeprefix("data: "))
    raise EOFError("the events have ended")


def client_context(authority, pair, folder):
    """What a visitor shows and trusts: PEM of an authority, and key and certificate of the visitor."""
    context = ssl.create_default_context(cadata=authority.decode())
    if pair is not None:
        path = folder / "visitor.pem"
        path.write_bytes(pair[0] + pair[1])
        context.load_cert_chain(path)
    return context
