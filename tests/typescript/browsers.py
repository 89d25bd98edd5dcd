"""Devices of the TypeScript SDK in pages of Chromium, for tests."""

import json
import shutil
import subprocess
from contextlib import contextmanager
from importlib.util import find_spec
from os import environ

import pytest

from tests.typescript import nodes

DEVICES = nodes.PACKAGE / "build" / "test" / "browser" / "devices.js"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def reason_to_skip():
    """Returns why no browser can be a device here; None if one can."""
    if reason := nodes.reason_to_skip():
        return reason
    if not (environ.get("FEDAU2_CHROMIUM") or any(map(shutil.which, NAMES))):
        return "there is no Chromium: install it, or name it with FEDAU2_CHROMIUM"
    if find_spec("connectrpc") is None:
        return "the extra `web` is not installed"
    return None


needs_browser = pytest.mark.skipif(reason_to_skip() is not None, reason=reason_to_skip() or "")


class Browser:
    """Devices of one Chromium; each has a number.

    Args:
        process: the program that drives Chromium.
        origin: origin of the devices' pages.
    """

    def __init__(self, process, origin):
        self._process, self.origin = process, origin

    def open(self, database, server, population, key, records, attributes):
        """Opens a device, and returns its number."""
        options = {"database": database, "coordinator": server, "population": population}
        return self.ask("open", {**options, "key": key.hex(), "records": records, "attributes": attributes})

    def ask(self, name, value, **arguments):
        """Makes a call of typescript/test/browser/devices.ts, and returns the answer."""
        self._process.stdin.write(json.dumps({name: value, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["value"]


@contextmanager
def browser():
    """Yields a new Chromium, with a profile that is removed afterwards."""
    nodes.build()
    with subprocess.Popen(["node", str(DEVICES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Browser(process, json.loads(process.stdout.readline())["value"])
        finally:
            process.stdin.close()
