"""`fedau2-coordinator fetch`: makes a state folder of the objects in an object store, while no coordinator leads."""

import argparse
from contextlib import closing
from pathlib import Path

from coordinator.commands import process
from coordinator.errors import LedgerError
from coordinator.store import object_files, objects
from coordinator.store.ledger import Ledger
from coordinator.store.objects import Objects
from coordinator.store.whole_folder import made_whole


def add_fetch(parser: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    parser.set_defaults(run=_fetch)
    add = parser.add_argument
    add("--objects", type=objects.check, required=True, metavar="URL", help="the object store of the coordinators")
    add("--database", required=True, metavar="URL", help="SQLAlchemy URL of their ledger")
    add("--to", type=Path, required=True, metavar="DIR", help="the state folder, made by this")


def _fetch(args: argparse.Namespace) -> int:
    store = Objects.open(args.objects)
    with process.private_files(), closing(Ledger(args.database)) as ledger:
        if ledger.folder is None:
            raise LedgerError("the ledger belongs to no state folder, because no coordinator has used it")
        with made_whole(args.to.absolute()) as part:
            object_files.fetch(store, ledger.folder, part)
    print(f"the state folder with id {ledger.folder} is at {args.to}")
    return 0
