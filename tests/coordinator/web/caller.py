"""A caller of the Connect protocol over HTTP/1.1, written against its specification alone."""

import asyncio
import http.client
import json
import struct
from base64 import b64decode
from dataclasses import dataclass

from fedau2.v1.task_pb2 import RetryWindow
from fedau2.wire.methods import DEVICE
from fedau2.wire.status import RETRY_METADATA, Status, StatusError
from tests.coordinator.conftest import InProcess

UNARY = "application/proto"
STREAM = "application/connect+proto"


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes


def request(connection, path, body=b"", kind=UNARY, method="POST", **headers):
    """Makes one request on a connection of `http.client`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Content-Type": kind, "Connect-Protocol-Version": "1", **named})
    response = connection.getresponse()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def error(document, metadata):
    """The `StatusError` that a device makes of an error, and of the metadata beside it."""
    code = document["code"]
    status = Status["CANCELLED" if code == "canceled" else code.upper()]
    window = metadata.get(RETRY_METADATA)
    retry = None if window is None else RetryWindow.FromString(b64decode(window + "=" * (-len(window) % 4)))
    return StatusError(status, document.get("message", ""), retry)


def enveloped(messages):
    """The body of a stream of requests."""
    return b"".join(struct.pack(">BI", 0, len(message)) + message for message in messages)


def opened(body):
    """The messages of a stream of responses, and the document at its end."""
    messages = []
    while body:
        flags, size = struct.unpack(">BI", body[:5])
        message, body = body[5 : 5 + size], body[5 + size :]
        assert len(message) == size
        if flags == 2:
            assert not body
            return messages, json.loads(message)
        assert flags == 0
        messages.append(message)
    raise AssertionError("the stream has no end")


class OverWeb(InProcess):
    """The methods of DeviceService over HTTP, and those of AdminService in process, if there is a coordinator."""

    def __init__(self, address, coordinator=None, context=None):
        if coordinator is not None:
            super().__init__(coordinator)
        self.address, self._context = address, context
        self.check_in_call = self._unary("CheckIn")
        self.part_call = self._unary("UploadPart")
        self.offset_call = self._unary("UploadOffset")
        self.fail_call = self._unary("ReportFailure")
        self.upload_call = self._upload
        self.fetch_call = self._fetch

    def connection(self):
        if self._context is not None:
            return http.client.HTTPSConnection(self.address, timeout=60, context=self._context)
        return http.client.HTTPConnection(self.address, timeout=60)

    async def post(self, path, *args, **options):
        """Makes one request on a connection of its own."""

        def call():
            connection = self.connection()
            try:
                return request(connection, path, *args, **options)
            finally:
                connection.close()

        return await asyncio.to_thread(call)

    def _unary(self, name):
        method = next(each for each in DEVICE if each.name == name)

        async def call(message):
            answer = await self.post(method.path, message.SerializeToString())
            if answer.status == 200:
                assert answer.headers["content-type"] == UNARY
                return method.response.FromString(answer.body)
            assert answer.headers["content-type"] == "application/json"
            trailers = {name.removeprefix("trailer-"): value for name, value in answer.headers.items()}
            raise error(json.loads(answer.body), trailers)

        return call

    async def _upload(self, requests):
        (answer,) = await self._stream("UploadContribution", [message async for message in requests])
        return answer

    async def _fetch(self, message):
        for answer in await self._stream("FetchResource", [message]):
            yield answer

    async def _stream(self, name, messages):
        method = next(each for each in DEVICE if each.name == name)
        body = enveloped([message.SerializeToString() for message in messages])
        answer = await self.post(method.path, body, STREAM)
        assert (answer.status, answer.headers["content-type"]) == (200, STREAM)
        responses, end = opened(answer.body)
        if "error" in end:
            raise error(end["error"], {name: values[0] for name, values in end.get("metadata", {}).items()})
        return map(method.response.FromString, responses)
