"""A headless Chromium that is driven over a pipe by the DevTools protocol, without any package."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATH = os.environ.get("FEDAU2_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)

needs_chromium = pytest.mark.skipif(
    PATH is None, reason="there is no Chromium: install it, or name it with FEDAU2_CHROMIUM"
)

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

_START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"
)
"""Chromium reads commands from the descriptor 3, and writes answers to 4."""


@contextmanager
def page(width=1280, height=900):
    """Yields an empty page of a new Chromium, whose profile is removed afterwards."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    passed = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (theirs_in, theirs_out)]
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [PATH, *_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
        wrapped = [sys.executable, "-c", _START, *map(str, passed), *command]
        child = subprocess.Popen(wrapped, pass_fds=passed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for descriptor in (theirs_in, theirs_out, *passed):
            os.close(descriptor)
        with os.fdopen(ours_in, "rb") as answers, os.fdopen(ours_out, "wb") as commands:
            try:
                yield Page(answers, commands)
                commands.write(b'{"id": 0, "method": "Browser.close"}\0')
                commands.flush()
                child.wait(timeout=30)
            finally:
                child.kill()
                child.wait()


class NavigatedError(Exception):
    """A call was refused, mostly because the page has gone to another one."""


class Page:
    """A page of a browser.

    Attributes:
        requests: addresses of all that the page has asked for.
        complaints: errors of scripts, and what the policy of the page has kept it from.
    """

    def __init__(self, answers, commands):
        self._answers, self._commands, self._number, self._session = answers, commands, 0, None
        self.requests, self.complaints = [], []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")

    def open(self, address):
        """Loads a page, and waits until its document is there."""
        self._call("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def value(self, expression):
        """Returns the value of an expression in the page."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression):
        """Waits until an expression is true in the page, which may load another one meanwhile."""
        look = (
            "new Promise((resolve) => { const end = Date.now() + 30000;"
            f" const look = () => ({expression}) ? resolve(true) : Date.now() > end ? resolve(false)"
            " : setTimeout(look, 20); look(); })"
        )
        for _ in range(50):
            with suppress(NavigatedError):
                assert self.value(look), expression
                return
        raise AssertionError(f"the page never shows that {expression}")

    def press(self, key):
        """Presses a key: Tab or Enter."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self._call("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", **event)

    def colours(self, scheme):
        """Shows the page as to a visitor who prefers light or dark colours."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def resize(self, width):
        """Makes the screen so many pixels wide."""
        shape = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **shape)

    def picture(self, width, scheme="light"):
        """Returns the whole page as PNG, so many pixels wide."""
        self.colours(scheme)
        self.resize(width)
        return base64.b64decode(self._call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def _call(self, method, **parameters):
        self._number += 1
        call = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            call["sessionId"] = self._session
        self._commands.write(json.dumps(call).encode() + b"\0")
        self._commands.flush()
        while (message := self._read()).get("id") != self._number:
            self._note(message.get("method"), message.get("params", {}))
        if "error" in message:
            raise NavigatedError(message)
        return message["result"]

    def _read(self):
        data = b""
        while not data.endswith(b"\0"):
            piece = self._answers.read(1)
            assert piece, "Chromium has ended"
            data += piece
        return json.loads(data[:-1])

    def _note(self, method, parameters):
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"]["text"])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(parameters["entry"]["text"])
