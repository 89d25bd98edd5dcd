"""`fedau2-unmasker log`: shows the public log of this unmasker or of another, and verifies it."""

import argparse
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import grpc
from google.protobuf.message import DecodeError

from fedau2 import files
from fedau2.v1.unmasker_pb2 import EvidenceClass, LogEntry, LogHead, LogRequest, LogResponse
from fedau2.v1.unmasker_pb2_grpc import EnrolmentServiceStub
from fedau2.wire import addresses
from fedau2.wire.errors import AddressError, IdentityError
from fedau2.wire.identity import audit, log, round_key, signing
from fedau2.wire.identity.log import Extract
from unmasker.commands import place
from unmasker.engine import reading
from unmasker.errors import LogFaultError, SettingError, UnmaskerError

_TIMEOUT = 600.0
"""Most seconds that reading a whole log may take."""


def show(args: argparse.Namespace) -> int:
    """Runs `log`."""
    if (args.state is None) == (args.unmasker is None) or (args.unmasker is None) != (args.key is None):
        raise SettingError("give --state, or --unmasker with --key")
    identity, responses = _remote(args) if args.unmasker else _local(args)
    try:
        extract = log.read(responses, identity)
        audit.check(extract, identity)
        if args.head is not None:
            _follow(args.head, extract, identity)
    except IdentityError as error:
        raise LogFaultError(f"the log is not what it must be: {error}") from error
    if not args.verify:
        print("\n".join(_line(number, entry) for number, entry in enumerate(extract.entries)))
    print(f"verified {extract.head.size} entries: {extract.head.hash.hex()}")
    return 0


def _local(args: argparse.Namespace) -> tuple[bytes, list[LogResponse]]:
    with place.books(args) as books:
        return books.keys.public.identity, list(reading.whole_log(books))


def _remote(args: argparse.Namespace) -> tuple[bytes, Iterable[LogResponse]]:
    identity = _identity(args.key)
    roots = None if args.root_certificates is None else _content(args.root_certificates)
    try:
        name, options = addresses.channel(addresses.check_port_named(args.unmasker))
    except AddressError as error:
        raise SettingError(f"--unmasker: {error}") from error
    if roots is None and addresses.is_loopback(args.unmasker):
        channel = grpc.insecure_channel(name, options)
    else:
        channel = grpc.secure_channel(name, grpc.ssl_channel_credentials(roots), options)
    with channel:
        try:
            responses = list(EnrolmentServiceStub(channel).Log(LogRequest(), timeout=_TIMEOUT))
        except grpc.RpcError as error:
            raise UnmaskerError(f"{args.unmasker} does not show its log: {error.details()}") from error
    return identity, responses


def _identity(path: Path) -> bytes:
    try:
        return signing.read_public(_content(path))
    except IdentityError as error:
        raise SettingError(f"--key {path}: {error}") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}") from error


def _follow(path: Path, extract: Extract, identity: bytes) -> None:
    """Checks that a log goes on from the head in a file, if there is one, and writes the new head.

    Raises:
        IdentityError: it does not.
        SettingError: the file is not a head.
    """
    if path.exists():
        seen = _head(path)
        if not log.signed(seen, identity):
            raise IdentityError(f"the head in {path} is not signed by this unmasker")
        if not extract.follows(seen):
            raise IdentityError(f"it does not go on from the head in {path}: it was cut, or there are two logs")
    files.write(path, extract.head.SerializeToString().hex().encode() + b"\n")


def _head(path: Path) -> LogHead:
    try:
        return LogHead.FromString(bytes.fromhex(path.read_text("ascii")))
    except (ValueError, DecodeError) as error:
        raise SettingError(f"{path} is not a head that this command wrote: name another file") from error


def _line(number: int, entry: LogEntry) -> str:
    kind = entry.WhichOneof("fact") or ""
    return f"{number:6} {_moment(entry.time, '%Y-%m-%d %H:%M:%S')} {kind:7} {_TEXTS[kind](entry)}"


def _moment(seconds: int, form: str) -> str:
    """Writes a time since 1970, which may be any number: whoever wrote the log chose it."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"


def _counted(entry: LogEntry) -> str:
    day = _moment(entry.day.day * 86400, "%Y-%m-%d")
    classes = [f"{count.live} {_named(count.evidence_class)}" for count in entry.day.classes]
    return f"{day}: {', '.join(classes) or 'nobody'}; {entry.day.revoked} revoked"


def _opened(entry: LogEntry) -> str:
    key = entry.round.key
    return f"task {key.task_id.hex()}, round {key.round}, key {key.public_key.hex()}"


def _ruled(entry: LogEntry) -> str:
    accepted = ", ".join(map(_named, entry.rules.accepted)) or "nothing"
    return f"accepts {accepted}; certificates for {entry.rules.days} days"


def _summed(entry: LogEntry) -> str:
    opened = entry.sum
    return f"task {opened.task_id.hex()}, round {opened.round}, {opened.members} members, set {opened.set.hex()}"


def _limited(entry: LogEntry) -> str:
    budget = entry.budget
    return f"epsilon {budget.epsilon:g} at delta {budget.delta:g}" if budget.epsilon else "none"


def _named(evidence_class: EvidenceClass.ValueType) -> str:
    return EvidenceClass.Name(evidence_class).removeprefix("EVIDENCE_CLASS_").lower()


_TEXTS: dict[str, Callable[[LogEntry], str]] = {
    "keys": lambda entry: f"identity {entry.keys.identity.hex()}, authority {entry.keys.authority.public_key.hex()}",
    "epoch": lambda entry: entry.epoch.epoch.hex(),
    "rules": _ruled,
    "policy": lambda entry: f"{round_key.policy_hash(entry.policy.policy).hex()}, {len(entry.policy.policy)} bytes",
    "round": _opened,
    "day": _counted,
    "sum": _summed,
    "budget": _limited,
}
"""The text of a line, by the kind of its entry. An audit has refused all others."""
