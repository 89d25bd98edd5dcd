"""A connection to PostgreSQL that can fall silent: its sockets stay open, and nothing comes through any more."""

import socket
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

_NAME = ".s.PGSQL.5432"


class Line:
    """The way to a database.

    Attributes:
        url: of the database, by this way.
    """

    def __init__(self, server, folder, url, stack):
        self._there, self._stack, self._silent = str(Path(url.query["host"]) / _NAME), stack, threading.Event()
        self._listener = server
        self.url = url.set(query={"host": str(folder)}).render_as_string(hide_password=False)
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self):
        """From now on nothing comes through."""
        self._silent.set()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._there)
            for end in (near, far):
                self._stack.callback(end.close)
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source, target):
        try:
            while data := source.recv(65536):
                if self._silent.is_set():
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@contextmanager
def line(url, folder):
    """Opens a way to a database through a socket in the folder, whose path must be short."""
    parsed = sa.make_url(url)
    if "host" not in parsed.query:
        pytest.skip("the server is not reached by a socket")
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(folder / _NAME))
        server.listen()
        yield Line(server, folder, parsed, stack)
