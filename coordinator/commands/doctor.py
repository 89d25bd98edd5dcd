"""`fedau2-coordinator doctor`: examines a state folder while no coordinator uses it, and reports its faults.

It changes nothing, except with `--drop-damaged` and `--accept-ledger`. A ledger in SQLite is read from a copy, because
opening it already writes to it.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from coordinator.commands import acceptance, unmasker_check
from coordinator.errors import BlobLostError, FolderError, LedgerError, LogError, UnmaskerError
from coordinator.store import inventory, migrations, operations_log
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.database import sqlite
from coordinator.store.disk import REAL
from coordinator.store.ledger import Ledger
from coordinator.store.left_overs import expect_no_later_rounds
from coordinator.store.round_log import RoundLog, owner
from coordinator.store.rows import AssignmentRow
from coordinator.store.state_folder import StateFolder, hold
from coordinator.store.task_blobs import KeptBlob, kept_blobs
from coordinator.store.task_rows import TaskRow
from fedau2.v1.admin_pb2 import RoundState, TaskState
from fedau2.v1.task_pb2 import TaskManifest


def run(args: argparse.Namespace) -> int:
    """Examines a state folder and prints the findings.

    Returns:
        0 if nothing is wrong, 1 if something is.

    Raises:
        FolderLockedError: a coordinator uses the folder or the ledger.
        FolderError, LedgerError: the folder or the ledger cannot be examined.
    """
    folder = StateFolder(args.state)
    with ExitStack() as stack:
        stack.enter_context(_lock(folder))
        if args.accept_ledger:
            _accept(folder, folder.database(args.database))
        url = stack.enter_context(_readable(folder.database(args.database), copy=not args.drop_damaged))
        ledger = stack.enter_context(closing(Ledger(url)))
        if args.drop_damaged:
            _expect_usable(folder, ledger)
            stack.enter_context(closing(folder.join(ledger, REAL)))  # which upgrades an older ledger
        else:
            _expect_this_version(ledger)
        examination = Examination(folder, ledger, args.drop_damaged)
        examination.examine()
        with examination.finding("unmasker"):
            if said := unmasker_check.examine(args, ledger):
                examination.say("unmasker", said)
        if args.drop_damaged:
            ledger.checkpoint()
    print(f"{examination.findings} finding(s)" if examination.findings else "healthy")
    return 1 if examination.findings else 0


def _lock(folder: StateFolder) -> AbstractContextManager[None]:
    if not folder.path.is_dir():
        raise FolderError(f"{folder.path} is not a folder; name the state folder of a coordinator")
    if (folder.path / inventory.NAME).exists():
        raise FolderError(f"{folder.path} is a backup: `fedau2-coordinator restore` makes a state folder of it")
    return hold(folder.lock.open()) if folder.lock.exists() else nullcontext()


@contextmanager
def _readable(url: sa.URL, copy: bool) -> Iterator[sa.URL]:
    """Gives the URL of the ledger, or the URL of a copy that can be opened without changing the ledger."""
    if url.get_backend_name() != "sqlite":
        yield url
        return
    path = Path(url.database or "")
    if not path.is_file():
        raise LedgerError(f"there is no ledger {path}: give --state and --database that belong together")
    if not copy:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="fedau2-doctor-") as name:
        for part in path.parent.iterdir():
            if part.is_file() and part.name.startswith(path.name):  # and the log of a killed coordinator
                shutil.copy(part, name)
        yield sqlite(Path(name) / path.name)


def _accept(folder: StateFolder, url: sa.URL) -> None:
    with _readable(url, copy=True) as copied, closing(acceptance.open_unchecked(copied)) as ledger:
        acceptance.check(folder, ledger)
    acceptance.accept(folder, url)
    print("   the ledger is accepted as it is; open rounds have begun anew")


def _expect_usable(folder: StateFolder, ledger: Ledger) -> None:
    """Returns if the ledger is of this version, or is older and nothing but contributions keeps it from an upgrade.

    The coordinator does not upgrade the ledger of a folder with a damaged contribution, so the doctor has to.
    """
    if ledger.version == migrations.NEW:
        _expect_this_version(ledger)
    if ledger.version < migrations.VERSION:
        acceptance.check(folder, ledger)
    if ledger.version < migrations.WITNESSED:
        REAL.write_file(folder.unwitnessed, b"")


def _expect_this_version(ledger: Ledger) -> None:
    if ledger.version != migrations.VERSION:
        raise LedgerError(
            f"the ledger has schema version {ledger.version}, and this doctor knows version {migrations.VERSION}: "
            "start the coordinator once; it brings the ledger up to date"
        )


@dataclass
class Examination:
    """An examination of a state folder, which prints every finding at once.

    Attributes:
        folder: the state folder.
        ledger: its ledger.
        drop: damaged contributions are given up.
        findings: number of faults found so far.
    """

    folder: StateFolder
    ledger: Ledger
    drop: bool
    findings: int = 0

    def examine(self) -> None:
        """Examines the folder, every task and the orphans, and prints the results."""
        self._examine_folder()
        used: set[bytes] | None = set()
        tasks = self.ledger.tasks()
        with self.finding("log"):
            if self.folder.log.is_dir():
                expect_no_later_rounds(RoundLog(self.folder.log), tasks)
        for row in tasks:
            blobs = self._examine_task(row)
            used = None if used is None or blobs is None else used | {blob.sha256 for blob in blobs}
        self._count_orphans(used, {owner(row.task_id, row.round) for row in tasks if row.open})

    def _examine_folder(self) -> None:
        self.say("state folder", f"{self.folder.path} (id {self.folder.id}), used by nobody")
        self.say("free disk space", f"{shutil.disk_usage(self.folder.path).free:,} bytes")
        self.say("ledger", f"schema version {self.ledger.version}")
        with self.finding("ledger"):
            self.folder.check(self.ledger)
        if text := self.folder.exposure():
            self._find("permissions", text)
        if self.folder.operations.exists():
            with self.finding("operations log"):
                self.say("operations log", f"whole, {len(list(operations_log.read(self.folder.operations)))} entries")
        for line in self.ledger.damage():
            self._find("ledger", f"{line}; restore it and the state folder from a copy")

    def _examine_task(self, row: TaskRow) -> list[KeptBlob] | None:
        """Returns the blobs of a task; None if they are unknown, because its manifest cannot be read."""
        state = TaskState.Name(row.state).removeprefix("TASK_STATE_").lower()
        self.say(f"task {row.task_id}", f"{row.population!r}, {state}, {row.round} of {row.rounds} rounds committed")
        if row.open:
            self._examine_round(row)
        try:
            manifest = TaskManifest.FromString(BlobFolder(self.folder.blobs).get(row.manifest))
        except BlobLostError as error:
            self._find("  manifest", str(error))
            return None
        blobs = kept_blobs(row, manifest)
        for blob in blobs:
            self._examine_blob(blob)
        return blobs

    def _examine_blob(self, blob: KeptBlob) -> None:
        files = BlobFolder(self.folder.blobs if blob.served else self.folder.server_state)
        try:
            files.check(blob.sha256)
        except BlobLostError as error:
            self._find(f"  {blob.use}", str(error))
        else:
            self.say(f"  {blob.use}", f"{blob.sha256.hex()[:12]}, whole, {files.size(blob.sha256):,} bytes")

    def _examine_round(self, row: TaskRow) -> None:
        newest = self.ledger.open_round(row.task_id, row.round)
        state = RoundState.Name(newest.state).removeprefix("ROUND_STATE_").lower()
        assignments = self.ledger.assignments(row.task_id, row.round)
        reported = [assignment for assignment in assignments if assignment.location is not None]
        damaged = {assignment.assignment_id: error for assignment in reported if (error := self._damage(assignment))}
        subject = f"  open round {row.round}"
        self.say(subject, f"{state}, attempt {newest.attempt}, {len(reported)} contributions acknowledged")
        if damaged and self.drop:
            self.ledger.give_up(row.task_id, row.round, list(damaged), time.time())
            self.say(subject, f"{len(damaged)} contributions given up; their assignments have expired")
        elif damaged:
            self._find(
                subject, f"{len(damaged)} contributions cannot be read back, the first: {next(iter(damaged.values()))}"
            )

    def _damage(self, row: AssignmentRow) -> LogError | None:
        try:
            if row.location is not None:
                RoundLog(self.folder.log).read(row.location, row.sha256)
        except LogError as error:
            return error
        return None

    def _count_orphans(self, used: set[bytes] | None, rounds: set[str]) -> None:
        if used is None:
            self.say("orphans", "unknown, because a manifest cannot be read")
            return
        orphans = RoundLog(self.folder.log).orphans(rounds) if self.folder.log.is_dir() else []
        for path in (self.folder.blobs, self.folder.server_state):
            orphans += BlobFolder(path).orphans(used) if path.is_dir() else []
        size = sum(path.stat().st_size for path in orphans)
        self.say("orphans", f"{len(orphans)} files, {size:,} bytes; harmless, the next start removes them")

    @contextmanager
    def finding(self, subject: str) -> Iterator[None]:
        """Runs a block, whose error is a finding."""
        try:
            yield
        except (LedgerError, UnmaskerError) as error:
            self._find(subject, str(error))

    def say(self, subject: str, text: str) -> None:
        """Prints what is right."""
        print(f"   {subject:24} {text}")

    def _find(self, subject: str, text: str) -> None:
        self.findings += 1
        print(f"!! {subject:24} {text}")
