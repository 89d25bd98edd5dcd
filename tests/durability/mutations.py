"""Hostile calls: valid requests of every method, damaged in bytes, in values and in the shape of their stream."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

OURS = ("fedau2.v1.DeviceService", "fedau2.v1.AdminService")
SERVICES = (*OURS, health.SERVICE_NAME, reflection.SERVICE_NAME)
"""All that the coordinator answers; health and reflection on both of its addresses."""

_NUMBERS = (0, 1, 2, 3, 7, 255, 2**16, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, -1, -(2**31), -(2**63))
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"))
_TEXTS = ("", "x", "\0", "../..", "'; DROP TABLE task; --", "é" * 64, "y" * 129, "z" * 70_000)
_BYTES = (b"", b"\0", b"\xff" * 16, b"q" * 31, b"\0" * 32, b"r" * 33, b"s" * 70_000)
_LIMIT = 2 * 1024 * 1024
"""What the coordinator takes in one message."""


class Manner(Enum):
    """What the caller does after its messages."""

    WHOLE = auto()
    CANCEL = auto()
    ENDLESS = auto()
    """It neither ends the stream nor goes away."""


@dataclass(frozen=True)
class Case:
    """One hostile call.

    Attributes:
        service: full name of the service that it is sent to, or would be.
        method: name, for the table.
        path: what is called.
        messages: what is sent, serialised.
        manner: how it ends.
        readable: whether every message can be parsed, and there are as many as the method takes.
    """

    service: str
    method: str
    path: str
    messages: tuple[bytes, ...]
    manner: Manner
    readable: bool


@dataclass(frozen=True)
class Method:
    """A method, as its descriptor says."""

    service: str
    name: str
    request: type[Message]
    streams: bool

    @property
    def reads(self):
        """Whether it changes nothing, so that it may be called with ids that exist."""
        return self.name.startswith(("Get", "List", "Watch", "Fetch"))


@dataclass(frozen=True)
class Words:
    """What exists on the coordinator: the streams that get furthest by method name, and ids for hostile messages."""

    streams: dict[str, list[list[Message]]]
    texts: tuple[str, ...] = ()
    bytes: tuple[bytes, ...] = ()
    secret: tuple[str, ...] = field(default=())
    """Texts for methods that change nothing only."""


def methods(services: tuple[str, ...] = SERVICES) -> list[Method]:
    """Every method of every service."""
    found = [method for name in services for method in Default().FindServiceByName(name).methods]
    return [
        Method(each.containing_service.full_name, each.name, GetMessageClass(each.input_type), each.client_streaming)
        for each in found
    ]


def cases(seed: int, count: int, words: Words, services: tuple[str, ...] = SERVICES) -> Iterator[Case]:
    """Hostile calls, the same for the same arguments."""
    known = methods(services)
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        if rng.random() < 0.01:
            yield _nowhere(rng, services)
        else:
            yield _case(rng, rng.choice(known), words)


def _nowhere(rng: random.Random, services: tuple[str, ...]) -> Case:
    service = rng.choice([*services, "fedau2.v2.DeviceService", "", "x" * 300])
    name = "".join(rng.choices("abcXYZ/%. \x7f", k=rng.randint(0, 40)))
    return Case(rng.choice(services), "(none)", f"/{service}/{name}", (rng.randbytes(20),), Manner.WHOLE, True)


def _case(rng: random.Random, method: Method, words: Words) -> Case:
    prepared = words.streams.get(method.name, [])
    if prepared and rng.random() < 0.7:
        stream = [message.SerializeToString() for message in rng.choice(prepared)]
    else:
        stream = [_message(rng, method, words) for _ in range(rng.randint(0, 4) if method.streams else 1)]
    if rng.random() < 0.7 and stream:
        position = rng.randrange(len(stream))
        stream[position] = rng.choice(_DAMAGES)(rng, stream[position])
    if rng.random() < (0.4 if method.streams else 0.03):
        stream = _reshaped(rng, stream)
    manner = rng.choices(list(Manner), [94, 5, 1])[0]
    path = f"/{method.service}/{method.name}"
    readable = (method.streams or len(stream) == 1) and all(_parses(method.request, data) for data in stream)
    return Case(method.service, method.name, path, tuple(stream), manner, readable)


def _parses(kind: type[Message], data: bytes) -> bool:
    try:
        kind.FromString(data)
    except DecodeError:
        return False
    return True


def _message(rng: random.Random, method: Method, words: Words) -> bytes:
    message = method.request()
    _fill(rng, message, (*_TEXTS, *words.texts, *(words.secret if method.reads else ())), (*_BYTES, *words.bytes), 0)
    return message.SerializeToString()


def _fill(rng: random.Random, message: Message, texts: tuple[str, ...], data: tuple[bytes, ...], depth: int) -> None:
    for entry in message.DESCRIPTOR.fields:
        if rng.random() < 0.2:
            continue
        if entry.message_type is not None:
            if depth < 4:
                for _ in range(rng.randint(0, 3) if entry.is_repeated else 1):
                    part = getattr(message, entry.name)
                    part = part.add() if entry.is_repeated else part
                    part.SetInParent()
                    _fill(rng, part, texts, data, depth + 1)
        elif entry.is_repeated:
            getattr(message, entry.name).extend(_value(rng, entry, texts, data) for _ in range(rng.randint(0, 3)))
        else:
            setattr(message, entry.name, _value(rng, entry, texts, data))


def _value(rng: random.Random, entry: FieldDescriptor, texts: tuple[str, ...], data: tuple[bytes, ...]) -> object:
    kind = entry.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return rng.choice(data if entry.type == FieldDescriptor.TYPE_BYTES else texts)
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return rng.choice(_FLOATS)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return rng.random() < 0.5
    wide = kind in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
    signed = kind not in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)
    bits = (64 if wide else 32) - signed
    least = -(2**bits) if signed else 0
    return rng.choice([number for number in _NUMBERS if least <= number < 2**bits])


# Damages of one serialised message.


def _overwrite(rng: random.Random, data: bytes) -> bytes:
    damaged = bytearray(data or b"\0")
    for _ in range(rng.randint(1, 8)):
        damaged[rng.randrange(min(len(damaged), rng.choice([16, 2**30])))] = rng.randrange(256)
    return bytes(damaged)


def _truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randint(0, len(data))]


def _duplicate(rng: random.Random, data: bytes) -> bytes:
    start = rng.randint(0, len(data))
    return data + data[start : start + rng.randint(0, 64)] + data[: rng.choice([0, len(data)])]


def _insert(rng: random.Random, data: bytes) -> bytes:
    position = rng.randint(0, len(data))
    return data[:position] + rng.randbytes(rng.randint(1, 24)) + data[position:]


def _promise(rng: random.Random, data: bytes) -> bytes:
    """A field that says it is longer than anything that follows."""
    length = rng.choice([b"\x7f", b"\xff\xff\xff\xff\x07", b"\xff" * 9 + b"\x01", b"\xff" * 11])
    return data + bytes([rng.randrange(16) << 3 | 2]) + length


def _retype(rng: random.Random, data: bytes) -> bytes:
    """The first field with another wire type."""
    return bytes([(data or b"\0")[0] & 0xF8 | rng.randrange(8)]) + data[1:]


def _nest(rng: random.Random, data: bytes) -> bytes:
    """Groups within groups."""
    return data + bytes([rng.randrange(1, 16) << 3 | 3]) * rng.choice([1, 50, 20_000])


def _swell(rng: random.Random, data: bytes) -> bytes:
    """A field that nobody knows, and that makes the message too large; seldom."""
    size = _LIMIT - 1 if rng.random() < 0.01 else 5000
    return data + b"\xfa\x7f" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + bytes(size)


_DAMAGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _overwrite,
    _truncate,
    _duplicate,
    _insert,
    _promise,
    _retype,
    _nest,
    _swell,
)


def _reshaped(rng: random.Random, stream: list[bytes]) -> list[bytes]:
    """No header, two headers, the data first, nothing at all, or all of it twice."""
    return rng.choice([stream[1:], [*stream[:1], *stream], stream[::-1], [], [*stream, *stream]])
