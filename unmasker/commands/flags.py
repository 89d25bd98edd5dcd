"""The options of all commands. The module of a command is imported when it runs, so that help needs none of them."""

import argparse
import os
from pathlib import Path

from fedau2 import logs, programs
from unmasker.engine.terms import KEY_DAYS, MOST_DAYS

_DATABASE = "FEDAU2_UNMASKER_DATABASE"
"""A variable for the database's URL, because everybody on a machine can read the arguments of a command."""


def add_init(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `init`."""
    parser.set_defaults(run=programs.later("unmasker.commands.books", "init"))
    _add_place(parser)


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `serve`."""
    parser.set_defaults(run=programs.later("unmasker.commands.serve", "serve"))
    _add_place(parser)
    _add_rules(parser)
    parser.add_argument(
        "--listen",
        default="127.0.0.1:8653",
        metavar="HOST:PORT",
        help="address for devices and readers of the log (default: %(default)s)",
    )
    parser.add_argument(
        "--coordinator",
        default="127.0.0.1:8654",
        metavar="HOST:PORT",
        help="address for coordinators, never for devices (default: %(default)s)",
    )
    parser.add_argument("--tls-certificate", type=Path, metavar="FILE", help="PEM certificate chain of both addresses")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM key of the certificate")
    parser.add_argument(
        "--coordinator-ca",
        type=Path,
        metavar="FILE",
        help="PEM authorities of the certificates that coordinators must show",
    )
    parser.add_argument(
        "--log-format", choices=logs.FORMATS, default="text", help="text, or json: one object a line (default: text)"
    )


def add_invite(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `invite`."""
    parser.set_defaults(run=programs.later("unmasker.commands.books", "invite"))
    _add_place(parser)
    parser.add_argument("--count", type=int, default=1, help="number of codes (default: %(default)s)")
    parser.add_argument("--days", type=int, default=30, help="days in which a code can be used (default: %(default)s)")


def add_revoke(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `revoke`."""
    parser.set_defaults(run=programs.later("unmasker.commands.books", "revoke"))
    _add_place(parser)
    parser.add_argument("pseudonym", nargs="+", help="32 hexadecimal digits")


def add_log(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `log`."""
    parser.set_defaults(run=programs.later("unmasker.commands.log", "show"))
    parser.add_argument("--state", type=Path, metavar="DIR", help="the state folder of an unmasker of one's own")
    database = os.environ.get(_DATABASE)
    parser.add_argument("--database", default=database, metavar="URL", help="its database, as for `serve`")
    parser.add_argument("--unmasker", metavar="HOST:PORT", help="the unmasker whose log is read, over the network")
    parser.add_argument("--key", type=Path, metavar="FILE", help="its public key in PEM (with --unmasker)")
    parser.add_argument("--root-certificates", type=Path, metavar="FILE", help="PEM authorities (with --unmasker)")
    parser.add_argument("--verify", action="store_true", help="check every byte, and print the head and no entries")
    parser.add_argument(
        "--head",
        type=Path,
        metavar="FILE",
        help="check that the log goes on from the head in this file; write the new one",
    )


def add_status(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `status`."""
    parser.set_defaults(run=programs.later("unmasker.commands.books", "status"))
    _add_place(parser)


def add_backup(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `backup`."""
    parser.set_defaults(run=programs.later("unmasker.commands.backup", "backup"))
    _add_place(parser)
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="a file that is not there yet")


def add_new_epoch(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `new-epoch`."""
    parser.set_defaults(run=programs.later("unmasker.commands.books", "new_epoch"))
    _add_place(parser)


def _add_place(parser: argparse.ArgumentParser) -> None:
    """Adds `--state` and `--database`."""
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="the state folder: keys, epoch, and SQLite's database"
    )
    parser.add_argument(
        "--database",
        default=os.environ.get(_DATABASE),
        metavar="URL",
        help=f"SQLAlchemy URL of PostgreSQL; default: the variable {_DATABASE}, or SQLite in the state folder",
    )


def _add_rules(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which devices are enrolled, and for how long."""
    parser.add_argument(
        "--accept",
        action="append",
        required=True,
        choices=("open", "invitation", "token"),
        help="evidence that enrols a device; may be given several times. open: none, for trying out only",
    )
    parser.add_argument("--jwks", type=Path, metavar="FILE", help="public keys of the app's identity provider (JWKS)")
    parser.add_argument("--issuer", metavar="TEXT", help="iss of its tokens")
    parser.add_argument("--audience", metavar="TEXT", help="aud of its tokens for this unmasker, and for nothing else")
    parser.add_argument(
        "--days", type=int, default=MOST_DAYS, help=f"life of a certificate, 1 to {MOST_DAYS} (default: %(default)s)"
    )
    parser.add_argument(
        "--key-days",
        type=int,
        default=KEY_DAYS,
        help="days after which the key of a round that nobody closed is deleted, 1 to 60 (default: %(default)s)",
    )
    parser.add_argument(
        "--budget-epsilon",
        type=float,
        metavar="NUMBER",
        help="the most that all sums together may tell of one device, with --budget-delta (default: no budget)",
    )
    parser.add_argument("--budget-delta", type=float, metavar="NUMBER", help="delta of the budget, for example 1e-6")
