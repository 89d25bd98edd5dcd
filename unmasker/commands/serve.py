"""`fedau2-unmasker serve`: serves devices and coordinators until a signal ends it."""

import argparse
import asyncio
import logging
import signal
from collections.abc import Iterable
from contextlib import closing, suppress

from fedau2 import core_lines, logs
from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_OPEN, ClassCount
from fedau2.wire import addresses
from fedau2.wire.errors import AddressError
from unmasker.commands import place
from unmasker.commands.rules import rules
from unmasker.engine import reading
from unmasker.engine.turns import Turns
from unmasker.engine.unmasker import Rules, Unmasker
from unmasker.errors import BusyError, SettingError, UnmaskerError
from unmasker.grpc.server import Servers, Tls

_log = logging.getLogger(__name__)

_HOUSE = 600.0
"""Seconds between two looks whether a day is over."""


def serve(args: argparse.Namespace) -> int:
    """Runs `serve`."""
    logs.use(args.log_format)
    tls, wanted, folder = _tls(args), rules(args), place.folder(args)
    with core_lines.captured(), folder.held(), closing(Unmasker.open(folder, wanted, args.database)) as unmasker:
        _warn(wanted, reading.status(unmasker.books).classes)
        return asyncio.run(_serve_until_signal(unmasker, args, tls))


async def _serve_until_signal(unmasker: Unmasker, args: argparse.Namespace, tls: tuple[Tls | None, Tls | None]) -> int:
    ended, turns = _signal(), Turns(unmasker)
    try:
        servers = await Servers.start(turns, args.listen, args.coordinator, tls)
        house = asyncio.create_task(_keep_house(turns))
        print(f"serving devices on {servers.devices}", flush=True)
        print(f"serving coordinators on {servers.coordinators}", flush=True)
        await ended.wait()
        house.cancel()
        await servers.stop()
    finally:
        turns.close()
    return 0


async def _keep_house(turns: Turns) -> None:
    while True:
        await asyncio.sleep(_HOUSE)
        with suppress(BusyError):
            try:
                await turns.take(turns.unmasker.keep_house)
            except UnmaskerError as error:
                _log.error("the day's work failed, and is tried again: %s", error)


def _signal() -> asyncio.Event:
    arrived, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, arrived.set)
    # It would end the process at once, and reloads and terminals send it.
    text = "SIGHUP: replaced certificates are used without a restart, and options after one"
    loop.add_signal_handler(signal.SIGHUP, _log.info, text)
    return arrived


def _tls(args: argparse.Namespace) -> tuple[Tls | None, Tls | None]:
    """Returns the files for both addresses. An address that others can reach must have them.

    Raises:
        SettingError: a file is missing, or an address cannot be served on.
    """
    certificate, key, authorities = args.tls_certificate, args.tls_key, args.coordinator_ca
    if (certificate is None) != (key is None):
        raise SettingError("--tls-certificate and --tls-key go together: give both or neither")
    if certificate is None and authorities is not None:
        raise SettingError("--coordinator-ca asks for certificates: it needs --tls-certificate and --tls-key")
    for option in _reachable(args):
        if certificate is None:
            raise SettingError(f"--{option} is not a loopback address: it needs --tls-certificate and --tls-key")
        if option == "coordinator" and authorities is None:
            raise SettingError(
                "--coordinator is not loopback: it needs --coordinator-ca, or anybody could close rounds"
            )
    outer = None if certificate is None else Tls(certificate, key)
    return outer, None if authorities is None else Tls(certificate, key, authorities)


def _reachable(args: argparse.Namespace) -> list[str]:
    """Returns the options whose addresses other machines can call.

    Raises:
        SettingError: an address cannot be served on.
    """
    for option in ("listen", "coordinator"):
        try:
            addresses.served(getattr(args, option))
        except AddressError as error:
            raise SettingError(f"--{option}: {error}") from error
    if args.listen == args.coordinator and not args.listen.endswith(":0"):
        raise SettingError(f"--listen and --coordinator are both {args.listen}: give each an address of its own")
    return [option for option in ("listen", "coordinator") if not addresses.is_loopback(getattr(args, option))]


def _warn(wanted: Rules, live: Iterable[ClassCount]) -> None:
    accepted = {provider.evidence_class for provider in wanted.providers}
    if EVIDENCE_CLASS_OPEN in accepted:
        _log.warning("everybody is enrolled without evidence: whoever likes can make any number of devices")
    kinds = (accepted | {count.evidence_class for count in live}) - {EVIDENCE_CLASS_OPEN}
    if len(kinds) > 1:
        _log.warning(
            "evidence of %d kinds is accepted or has valid certificates: who has several kinds is several holders, "
            "with a budget and caps for each",
            len(kinds),
        )
