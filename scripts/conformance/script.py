"""A coordinator that answers by a script, and writes down what a device asks."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from google.protobuf.message import Message

from client_sdk.errors import TransportError, UnknownCallError
from fedau2.v1.device_pb2 import FetchResourceRequest, FetchResourceResponse, UploadContributionRequest
from fedau2.v1.task_pb2 import RetryWindow
from fedau2.wire.methods import DEVICE
from fedau2.wire.status import Status, StatusError
from scripts.conformance.arrays import Json, data

PIECE = 3000
"""Bytes of one piece of a blob."""


@dataclass(frozen=True)
class Refusal:
    """A call is refused; `retry` is in its trailing metadata."""

    status: Status
    retry: RetryWindow | None = None


@dataclass(frozen=True)
class Silence:
    """A call is not answered; with `unknown`, the coordinator does not know it."""

    unknown: bool = False


Answer = Message | Refusal | Silence


@dataclass(eq=False)
class Scripted:
    """`interfaces.Transport` by a script.

    Attributes:
        answers: to the calls that are not fetches, in their order.
        served: the blobs that can be fetched, by hash.
        pieces: for each fetch, how many pieces come before the connection breaks; all come of fetches beyond these.
        calls: the calls so far, with their answers.
    """

    answers: Sequence[Answer]
    served: dict[bytes, bytes]
    pieces: Sequence[int] = ()
    calls: list[Json] = field(default_factory=list)

    def call(self, request: Message, timeout: float = inf) -> Message:
        """Answers one request."""
        return self._answer({"method": DEVICE.taking(type(request)).name, "request": _bytes(request)})

    def receive(self, request: Message, timeout: float = inf) -> Generator[Message, None, None]:
        """Gives the pieces of a blob."""
        assert isinstance(request, FetchResourceRequest)
        number = sum(1 for call in self.calls if call["method"] == "FetchResource")
        entry: Json = {"method": "FetchResource", "request": _bytes(request)}
        self.calls.append(entry)
        if request.sha256 not in self.served:
            entry["status"] = int(Status.NOT_FOUND)
            raise StatusError(Status.NOT_FOUND, "no such blob")
        content = self.served[request.sha256][request.offset :]
        pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
        if number < len(self.pieces) and self.pieces[number] < len(pieces):
            pieces, entry["broken"] = pieces[: self.pieces[number]], True
        entry["pieces"] = [len(piece) for piece in pieces]
        yield from (FetchResourceResponse(data=piece) for piece in pieces)
        if "broken" in entry:
            raise TransportError("the connection broke")

    def send(self, kind: type[Message], requests: Iterator[Message], timeout: float = inf) -> Message:
        """Answers an upload. Its bytes depend on the machine's floating point, so only their number is written down."""
        uploads: list[UploadContributionRequest] = [*requests]  # type: ignore[list-item]
        header, size = uploads[0].header, sum(len(upload.data) for upload in uploads[1:])
        asked = {"assignment_id": data(header.assignment_id), "size": header.size, "offset": header.offset}
        return self._answer({"method": "UploadContribution", "header": asked, "sent": size})

    def _answer(self, entry: dict[str, Any]) -> Message:
        answer = next(self._left())
        self.calls.append(entry)
        if isinstance(answer, Refusal):
            retry = {} if answer.retry is None else {"retry": _bytes(answer.retry)}
            entry |= {"status": int(answer.status), **retry}
            raise StatusError(answer.status, "refused", answer.retry)
        if isinstance(answer, Silence):
            entry["unknown" if answer.unknown else "unanswered"] = True
            kind: Callable[[str], Exception] = UnknownCallError if answer.unknown else TransportError
            raise kind("not answered")
        entry["response"] = _bytes(answer)
        return answer

    def _left(self) -> Iterator[Answer]:
        yield from self.answers[sum(1 for call in self.calls if call["method"] != "FetchResource") :]


def _bytes(message: Message) -> str:
    return data(message.SerializeToString(deterministic=True))
