"""A server that can open nothing more says so once a minute, and not for every connection that waits."""

import asyncio
import errno
import os

import pytest

from coordinator.web.full import Full


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_connections_that_wait_are_logged_once_a_minute(caplog, number):
    now = [0.0]
    full = Full(clock=lambda: now[0])
    with asyncio.Runner() as runner:
        for second in (0, 0, 30, 59, 60, 61):
            now[0] = float(second)
            full(runner.get_loop(), {"message": "accept", "exception": OSError(number, os.strerror(number))})
    assert [record.getMessage() for record in caplog.records] == [
        f"new connections wait, because the process can open nothing more: {os.strerror(number)}"
    ] * 2


@pytest.mark.parametrize("error", [OSError(errno.EPIPE, "broken"), ValueError("other"), None])
def test_anything_else_is_logged_as_ever(caplog, error):
    with asyncio.Runner() as runner:
        Full()(runner.get_loop(), {"message": "something failed", **({} if error is None else {"exception": error})})
    assert caplog.records[0].getMessage() == "something failed"
