"""The doctor's look at the unmasker that a coordinator works with."""

import argparse
import asyncio

from coordinator.commands.flags import UNMASKER
from coordinator.commands.settings import Settings
from coordinator.commands.settings_check import check
from coordinator.errors import UnmaskerError
from coordinator.grpc import unmasker_client
from coordinator.grpc.unmasker_client import ClientTls, UnmaskerClient
from coordinator.store.ledger import Ledger
from coordinator.store.openings import Openings
from fedau2.v1.unmasker_pb2 import LogHead, StatusResponse


def examine(args: argparse.Namespace, ledger: Ledger) -> str:
    """Calls the unmasker that the flags name, and returns what it says of itself; empty: they name none.

    Args:
        args: parsed by a parser with the doctor's flags.
        ledger: knows the newest head of its log that was seen.

    Raises:
        SettingError: the flags cannot be used together.
        UnmaskerError: it does not answer, or is not the one that it should be.
    """
    settings = check(Settings(state=args.state, **{name: getattr(args, name) for name in UNMASKER}))
    if settings.unmasker is None or settings.unmasker_key is None:
        return ""
    identity = unmasker_client.identity(settings.unmasker_key)
    status = asyncio.run(_status(settings.unmasker, settings.unmasker_tls))
    _check(status, identity, LogHead.FromString(Openings(ledger).seen(identity)))
    return f"version {status.version}, {status.open_rounds} open rounds, {status.sums} sums, log of {status.head.size}"


async def _status(address: str, tls: ClientTls | None) -> StatusResponse:
    client = UnmaskerClient(address, tls)
    try:
        return await client.status()
    finally:
        await client.close()


def _check(status: StatusResponse, identity: bytes, seen: LogHead) -> None:
    from fedau2.wire.identity import log  # here, because it needs `cryptography`

    if status.keys.identity != identity:
        raise UnmaskerError("another unmasker answers there: its identity key is not unmasker_key")
    if not log.signed(status.head, identity):
        raise UnmaskerError("the head of its log is not signed by its key")
    if status.head.size < seen.size:
        raise UnmaskerError(
            f"its log has {status.head.size} entries, and had {seen.size} before: was it restored from a copy?"
        )
