"""`fedau2-coordinator fetch`: makes a state folder of the objects in an object store, while no coordinator leads."""

import argparse
from contextlib import closing

from coordinator.commands import process
from coordinator.errors import LedgerError
from coordinator.store import object_files
from coordinator.store.ledger import Ledger
from coordinator.store.objects import Objects
from coordinator.store.whole_folder import made_whole


def fetch(args: argparse.Namespace) -> int:
    """Runs `fetch`."""
    store = Objects.open(args.objects)
    with process.private_files(), closing(Ledger(args.database)) as ledger:
        if ledger.folder is None:
            raise LedgerError("the ledger belongs to no state folder, because no coordinator has used it")
        with made_whole(args.to.absolute()) as part:
            object_files.fetch(store, ledger.folder, part)
    print(f"the state folder with id {ledger.folder} is at {args.to}")
    return 0
