"""A limit for the answers of PostgreSQL. A database that is silent fails no call by itself, so a wait could last."""

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from coordinator.errors import LedgerError


class Patience:
    """Cuts the newest connection of an engine when an answer takes too long. The call that waits for it then fails.

    Args:
        engine: of psycopg.
        seconds: of the longest wait.
    """

    def __init__(self, engine: sa.Engine, seconds: float) -> None:
        self._seconds = seconds
        self._connection: Any = None
        event.listen(engine, "do_connect", self._connect)

    def _connect(self, dialect: Any, record: object, args: Sequence[Any], options: dict[str, Any]) -> Any:  # noqa: ANN401
        """Connects, and keeps the connection before the first query on it."""
        self._connection = dialect.connect(*args, **options)
        return self._connection

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Runs a block that uses the connection, on a thread that is given this time for all of it.

        Raises:
            LedgerError: no answer came in time.
        """
        cut = threading.Event()
        timer = threading.Timer(self._seconds, self._cut, (cut,))
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            if cut.is_set():
                raise LedgerError(f"the database has not answered for {self._seconds:g} seconds") from error
            raise
        finally:
            timer.cancel()

    def _cut(self, cut: threading.Event) -> None:
        cut.set()
        connection = self._connection
        if connection is None or connection.closed:
            return  # it connects, which has a limit already
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
