"""The flags of the commands that load most: `serve`, and those that read a state folder.

The module of a command is imported when the command runs, so that help needs none of them.
"""

import argparse
from pathlib import Path

from coordinator.commands import loading
from coordinator.commands.settings import Settings
from coordinator.store import objects
from fedau2 import programs

UNMASKER = ("unmasker", "unmasker_key", "unmasker_tls_ca", "unmasker_tls_certificate", "unmasker_tls_key")
"""The settings of `serve` that name the unmasker, which are flags of the doctor too."""


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `serve`."""
    parser.set_defaults(run=programs.later("coordinator.commands.serve", "serve"))
    loading.add_flags(parser)
    parser.add_argument("--check", action="store_true", help="print and check the settings, and serve nothing")


def add_backup(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `backup`."""
    parser.set_defaults(run=programs.later("coordinator.commands.backup", "backup"))
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="the coordinator's state folder")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder of the backup, made by this")


def add_restore(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `restore`."""
    parser.set_defaults(run=programs.later("coordinator.commands.backup", "restore"))
    parser.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR", help="folder of a backup")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="the state folder, made by this")


def add_fetch(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `fetch`."""
    parser.set_defaults(run=programs.later("coordinator.commands.fetch", "fetch"))
    add = parser.add_argument
    add("--objects", type=objects.check, required=True, metavar="URL", help="the object store of the coordinators")
    add("--database", required=True, metavar="URL", help="SQLAlchemy URL of their ledger")
    add("--to", type=Path, required=True, metavar="DIR", help="the state folder, made by this")


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `doctor`."""
    parser.set_defaults(run=programs.later("coordinator.commands.doctor", "run"))
    add = parser.add_argument
    add("--state", type=Path, required=True, metavar="DIR", help="state folder of a coordinator that is not running")
    add("--database", metavar="URL", help="SQLAlchemy URL of the ledger (default: SQLite in the state folder)")
    add(
        "--drop-damaged",
        action="store_true",
        help="give up acknowledged contributions of open rounds that cannot be read back; their assignments expire",
    )
    add(
        "--accept-ledger",
        action="store_true",
        help="accept a restored ledger, or one that has lost transactions, as it is; open rounds begin anew",
    )
    for name in UNMASKER:
        metadata = Settings.__dataclass_fields__[name].metadata
        flag = f"--{name.replace('_', '-')}"
        add(flag, type=metadata["parse"], metavar=metadata["metavar"], help=metadata["help"])


def add_audit_log(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `audit-log`."""
    parser.set_defaults(run=programs.later("coordinator.commands.operations", "show"))
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="the coordinator's state folder")
    parser.add_argument("--json", action="store_true", help="print the entries as JSON, one a line")
    parser.add_argument(
        "--head", metavar="HASH", help="a head that was noted before: fail unless a line of the log still has it"
    )
