"""Lines that gRPC's core writes on standard error by itself, as lines of the log.

It writes one for each handshake that fails, which anybody can have in any number. The text may name a caller's
address. So the log has the place in the core and the reason alone, of each kind once a minute.
"""

import faulthandler
import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TextIO

from fedau2.logs import Seldom

_log = logging.getLogger(__name__)

_LINE = re.compile(rb"[IWE]\d{4} .*?\b(\w+\.(?:cc|h|c):\d+)\] (.*)")
_REASON = re.compile(rb"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
"""A name such as CERTIFICATE_VERIFY_FAILED, from a list of the libraries."""

_STANDARD_ERROR = 2
_LONGEST = 2**16


@contextmanager
def captured() -> Iterator[None]:
    """While the block runs, such lines come into the log. All else on standard error stays as it is."""
    before = os.dup(_STANDARD_ERROR)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # a thread that holds the interpreter's lock must not wait for the reader
    old, raw = sys.stderr, io.FileIO(os.dup(before), "w")
    stream = io.TextIOWrapper(raw, errors="backslashreplace", write_through=True)
    handlers = [handler for handler in logging.getLogger().handlers if getattr(handler, "stream", None) is old]
    _rebind(handlers, stream)
    faulthandler.enable(before)
    os.dup2(writing, _STANDARD_ERROR)
    os.close(writing)
    thread = Thread(target=_read, args=(reading, before), name="core-lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(before, _STANDARD_ERROR)  # the pipe has no other writer, so the reader comes to its end
        thread.join()
        faulthandler.disable()
        _rebind(handlers, old)
        for descriptor in (reading, before):
            os.close(descriptor)
        stream.close()


def _rebind(handlers: list[logging.Handler], stream: TextIO) -> None:
    sys.stderr = stream
    for handler in handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream)


def _read(reading: int, elsewhere: int) -> None:
    seldom, left = Seldom(), b""
    while data := os.read(reading, _LONGEST):
        *lines, left = (left + data).split(b"\n")
        for line in lines:
            _take(line, seldom, elsewhere)
        if len(left) > _LONGEST:
            _take(left, seldom, elsewhere)
            left = b""
    if left:
        _take(left, seldom, elsewhere)


def _take(line: bytes, seldom: Seldom, elsewhere: int) -> None:
    if (match := _LINE.match(line)) is None:
        with suppress(OSError):  # who read standard error may be gone, and the log goes on
            os.write(elsewhere, line + b"\n")
        return
    reasons = dict.fromkeys(_REASON.findall(match[2]))
    seldom.say(_log, "gRPC: %s", b" ".join([match[1], *reasons]).decode())
