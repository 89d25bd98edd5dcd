"""Unmaskers that serve: in a thread of the tests, or as an operator runs them."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

from unmasker.engine.turns import Turns
from unmasker.grpc.server import Servers


@contextmanager
def served(unmasker, tls=(None, None)):
    """Serves an unmasker on loopback in a thread, and gives its `Servers`."""
    loop, turns = asyncio.new_event_loop(), Turns(unmasker)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    try:
        servers = run(Servers.start(turns, "127.0.0.1:0", "127.0.0.1:0", tls))
        try:
            yield servers
        finally:
            run(servers.stop())
    finally:
        turns.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def command(*arguments):
    """Runs a command of `fedau2-unmasker` to its end."""
    words = [sys.executable, "-m", "unmasker", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


class Child:
    """`fedau2-unmasker serve` as a child process."""

    def __init__(self, folder, *options, log=subprocess.DEVNULL):
        self._log = log
        self._command = [sys.executable, "-m", "unmasker", "serve", "--state", str(folder), *options]
        self._command += ["--listen", "127.0.0.1:0", "--coordinator", "127.0.0.1:0"]
        self._process = None

    def start(self):
        """Starts it, and returns its addresses: for devices and for coordinators."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=self._log, text=True, env=os.environ
        )
        lines = [self._process.stdout.readline() for _ in range(2)]
        assert lines[0].startswith("serving devices on "), lines
        return tuple(line.split()[-1] for line in lines)

    def end(self, number=signal.SIGKILL):
        """Ends it by a signal, and returns its status."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(60)
        self._process.stdout.close()
        return code

    def read_log(self):
        """Ends it, and returns what it has logged."""
        self._process.send_signal(signal.SIGTERM)
        _, log = self._process.communicate(timeout=60)
        return log
