"""The command line: `fedau2-unmasker init`, `serve`, `invite`, `revoke`, `log`, `status`, `backup` and `new-epoch`."""

import argparse
import logging
import os

from fedau2 import __version__, programs
from fedau2.parser import Parser
from fedau2.wire.errors import WireError
from unmasker.commands import flags
from unmasker.errors import UnmaskerError

_COMMANDS = (
    ("init", flags.add_init, "make the keys and the database, and print the public key that apps need"),
    ("serve", flags.add_serve, "serve devices and coordinators until SIGTERM"),
    ("invite", flags.add_invite, "make invitations, each for one device, and print their codes"),
    ("revoke", flags.add_revoke, "revoke devices by their pseudonyms, for ever"),
    ("log", flags.add_log, "show the public log, or verify it"),
    ("status", flags.add_status, "show enrolled devices, open rounds and the head of the log"),
    ("backup", flags.add_backup, "copy SQLite's database into a new file, also while the unmasker serves"),
    ("new-epoch", flags.add_new_epoch, "delete the keys of all open rounds: after anything was restored from a copy"),
)


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 if it succeeded, 1 if it failed, 130 after Ctrl-C. Standard error has the reason of a failure.
    """
    return programs.run("fedau2-unmasker", "unmasker", lambda: _run(argv), _explained)


def _run(argv: list[str] | None) -> int:
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    before = os.umask(0o077)  # files that a command makes are for its owner alone
    try:
        code: int = args.run(args)
    finally:
        os.umask(before)
    return code


def _explained(error: Exception) -> str | None:
    return str(error) if isinstance(error, (UnmaskerError, WireError)) else None


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="fedau2-unmasker", description="Enrols devices for secure sums and makes the keys of rounds.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, add, text in _COMMANDS:
        add(commands.add_parser(name, help=text, description=text))
    return parser
