"""Object stores for the tests: a server of S3's protocol, and a way to it on which answers are late, lost or wrong."""

import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "a-secret-key", "AWS_REGION": "us-east-1"}


class Server:
    """A server of S3's protocol in a process of its own, which keeps objects in memory.

    Attributes:
        address: host and port.
    """

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        port = self.address.partition(":")[2]
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        self._log = Path(tempfile.mkstemp(prefix="fedau2-s3-")[1])
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(command, stdout=log, stderr=log)
        while True:
            try:
                socket.create_connection(("127.0.0.1", int(port))).close()
                return
            except OSError:
                assert self._child.poll() is None, self._log.read_text()
                time.sleep(0.05)

    def bucket(self):
        """Makes a bucket and returns its name."""
        name = f"bucket-{uuid.uuid4().hex}"
        connection = HTTPConnection(self.address)
        connection.request("PUT", f"/{name}")
        assert connection.getresponse().status == 200
        connection.close()
        return name

    def stop(self):
        """Ends it."""
        self._child.kill()
        self._child.wait()
        self._log.unlink()


class Way:
    """A way to a store: an HTTP proxy that answers some requests as a store does that fails.

    Attributes:
        address: host and port.
        requests: what was asked for, as method and path.
        failed: how many requests failed at random, by kind.
    """

    def __init__(self, there):
        self._there, self._faults, self.requests = there, [], []
        self._open, self.failed = threading.Event(), Counter()
        self.fail_at_random(0, 0)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *arguments: None  # a caller that was killed, or that has given up
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def fail(self, kind, method="PUT", path="", times=1):
        """Lets the next requests of this method, whose path has this part, fail.

        Args:
            kind: "refused" (503, without effect), "lost" (the effect, and no answer), "cut" (no effect, no answer),
                "silent" (no effect, and the connection stays open) or "denied" (403).
        """
        self._faults.append([kind, method, path, times])

    def fail_no_more(self):
        """Ends what `fail` began."""
        self._faults.clear()

    def fail_at_random(self, share, seed):
        """Lets this share of all further requests fail, or get no answer."""
        self._share, self._rng = share, random.Random(f"way/{seed}")

    def close(self):
        self._open.set()
        self._server.shutdown()
        self._server.server_close()

    def _fault(self, method, path):
        for fault in self._faults:
            kind, *wanted, times = fault
            if times and wanted[0] == method and wanted[1] in path:
                fault[3] -= 1
                return kind
        if self._rng.random() >= self._share:
            return ""
        kind = self._rng.choice(("refused", "lost", "cut"))
        self.failed[kind] += 1
        return kind

    def _handler(way):  # noqa: N805 - `self` is the request
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                way.requests.append((self.command, self.path))
                kind = way._fault(self.command, self.path)
                if kind == "silent":
                    way._open.wait()
                if kind in ("refused", "denied"):
                    self._answer(503 if kind == "refused" else 403, {}, b"<Error><Code>Tested</Code></Error>")
                    return
                if kind in ("", "lost"):
                    answer = self._passed_on(body)
                if kind:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self._answer(*answer)

            def _passed_on(self, body):
                connection = HTTPConnection(way._there)
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                return answer.status, dict(answer.headers), content

            def _answer(self, status, headers, body):
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                length = headers.get("Content-Length", len(body)) if self.command == "HEAD" else len(body)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815

            def log_message(self, *arguments):
                pass

        return Handler


@pytest.fixture(scope="session")
def s3_server():
    pytest.importorskip("obstore", reason="the extra objects is not installed")
    pytest.importorskip("moto", reason="moto, a server of S3's protocol, is not installed")
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def s3_way(s3_server, monkeypatch):
    """A way to the server, which the environment names."""
    way = Way(s3_server.address)
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": f"http://{way.address}"}).items():
        monkeypatch.setenv(name, value)
    yield way
    way.close()


@pytest.fixture
def s3_url(s3_server, s3_way):
    """URL of an empty bucket, by the way."""
    return f"s3://{s3_server.bucket()}/fedau2"


@pytest.fixture(params=["s3", "file"])
def objects_url(request, tmp_path):
    """URL of an empty store of either kind."""
    pytest.importorskip("obstore", reason="the extra objects is not installed")
    return request.getfixturevalue("s3_url") if request.param == "s3" else f"file://{tmp_path}/objects"
