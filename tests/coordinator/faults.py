"""Disks that fail at one step, and the life of a small task that goes through all of them."""

import errno
import json
import os
import signal
from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from coordinator.store.disk import REAL, Disk
from fedau2.v1 import admin_pb2
from fedau2.v1.device_pb2 import Assignment
from tests.coordinator import conftest as tools

ROUNDS = [[0, 1], [2, 3]]
"""Seeds of the contributions of each round."""


class Kind(Enum):
    """What happens at a step."""

    FULL = auto()
    """The disk is full; the step is not done."""
    TORN = auto()
    """Half of the bytes are written, then the disk fails."""
    LATE = auto()
    """The step is done, and an error comes back."""
    POWER = auto()
    """The power fails before the step: what has not been synced is gone."""
    KILL_BEFORE = auto()
    KILL_AFTER = auto()


@dataclass(frozen=True)
class Fault:
    """What happens at the step with this name, passed so many times before."""

    step: str
    number: int
    kind: Kind


class CountingDisk(Disk):
    """A real disk that counts its steps by name: the operation and the folder that it happens in."""

    def __init__(self):
        self.passed = Counter()

    def make_folder(self, path):
        self._step("make_folder", path, path)

    def create(self, path, mode=0o600):
        return self._step("create", path.parent, path, mode)

    def write(self, file, data):
        self._step("write", _path(file).parent, file, data)

    def sync(self, file):
        self._step("sync", _path(file).parent, file)

    def rename(self, old, new):
        self._step("rename", new.parent, old, new)

    def delete(self, path):
        self._step("delete", path.parent, path)

    def sync_folder(self, path):
        self._step("sync_folder", path, path)

    def rewrite(self, file, offset, data):
        self._step("rewrite", _path(file).parent, file, offset, data)

    def commit(self, connection):
        self._step("commit", None, connection)

    def _step(self, operation, folder, *arguments):
        name = operation if folder is None else f"{operation} {folder.name}"
        self.passed[name] += 1
        return self.carry_out(name, getattr(REAL, operation), *arguments)

    def carry_out(self, name, operation, *arguments):
        return operation(*arguments)


class FaultyDisk(CountingDisk):
    """Has one fault, after which every step fails: the coordinator must not try to go on."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault
        self.fired = False
        self._unsynced = Unsynced()

    def carry_out(self, name, operation, *arguments):
        assert not self.fired, f"{name} after a disk error"
        if name != self.fault.step or self.passed[name] != self.fault.number + 1:
            self._unsynced.note(operation.__name__, *arguments)
            return operation(*arguments)
        self.fired = True
        match self.fault.kind:
            case Kind.KILL_BEFORE:
                os.kill(os.getpid(), signal.SIGKILL)
            case Kind.TORN:
                file, data = arguments
                operation(file, data[: len(data) // 2])
                file.flush()
            case Kind.LATE | Kind.KILL_AFTER:
                done = operation(*arguments)
                if name.startswith("create"):
                    done.close()
                if self.fault.kind is Kind.KILL_AFTER:
                    os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC if self.fault.kind is Kind.FULL else errno.EIO, "injected")

    def lose_power(self):
        self._unsynced.lose()


class Unsynced:
    """What the disk has been told and might forget. (SQLite and PostgreSQL sync for themselves.)"""

    def __init__(self):
        self._lengths = {}  # of the files that were made, as last synced
        self._before = {}  # contents of the files that were written over, as last synced
        self._undo = []  # per step on a folder: the folder, and how to take it back

    def note(self, operation, *arguments):
        match operation, arguments:
            case "create", (path, _):
                self._lengths[path] = 0
                self._undo.append((path.parent, path.unlink))
            case "sync", (file,):
                if _path(file) in self._before:
                    del self._before[_path(file)]
                else:
                    file.flush()
                    self._lengths[_path(file)] = file.tell()
            case "rewrite", (file, _, _):
                self._before.setdefault(_path(file), _path(file).read_bytes())
            case "rename", (old, new):
                self._lengths[new] = self._lengths.pop(old)
                replaced = new.read_bytes() if new.exists() else None
                self._undo.append((new.parent, lambda: _take_back(old, new, replaced)))
            case "delete", (path,) if path.exists():
                data = path.read_bytes()
                self._lengths.pop(path, None)
                self._undo.append((path.parent, lambda: path.write_bytes(data)))
            case "sync_folder", (path,):
                self._undo = [(folder, undo) for folder, undo in self._undo if folder != path]

    def lose(self):
        for path, length in self._lengths.items():
            os.truncate(path, length)
        for path, data in self._before.items():
            path.write_bytes(data)
        for _, undo in reversed(self._undo):
            undo()


def _take_back(old, new, replaced):
    new.rename(old)
    if replaced is not None:
        new.write_bytes(replaced)


def _path(file):
    return Path(file.name)


class Life:
    """A small task from its creation to its end, with one restart, and with devices and an operator who try again.

    Args:
        folder: state folder.
        journal: where devices and operator remember what they were told.
        options: of `Coordinator.open`.
    """

    def __init__(self, folder, journal, **options):
        self._folder, self._journal, self._options = folder, journal, options
        self._assignments, self._acknowledged = {}, set()
        if journal.exists():
            for line in journal.read_text().splitlines():
                seed, assignment = json.loads(line)
                self._remember(seed, assignment and bytes.fromhex(assignment))

    def _remember(self, seed, assignment_id):
        if assignment_id:
            self._assignments[seed] = Assignment(assignment_id=assignment_id)
        else:
            self._acknowledged.add(seed)

    def _note(self, seed, assignment_id=b""):
        with self._journal.open("a") as file:
            file.write(json.dumps([seed, assignment_id.hex()]) + "\n")
        self._remember(seed, assignment_id)

    async def run(self, disk=REAL):
        """Goes on to the end, and returns the hash of the last checkpoint."""
        for number, seeds in enumerate(ROUNDS):
            async with tools.open_lab(self._folder, disk=disk, **self._options) as lab:
                task_id = await self._task(lab)
                for seed in seeds:
                    await self._contribute(lab, seed)
                task = await lab.committed(task_id, number + 1)
        assert task.state == admin_pb2.TASK_STATE_FINISHED
        return task.checkpoint.sha256

    async def _task(self, lab):
        tasks = (await lab.link.list_tasks(admin_pb2.ListTasksRequest())).tasks
        if not tasks:
            assert not self._assignments, "a task was acknowledged and is lost"
            return await lab.create(tools.make_bundle(rounds=len(ROUNDS), closing=tools.closing(2)))
        (task,) = tasks
        if task.round < len(ROUNDS):
            assert task.reported >= len(self._acknowledged.intersection(ROUNDS[task.round]))
        return task.task_id

    async def _contribute(self, lab, seed):
        if seed in self._acknowledged:
            return
        if seed not in self._assignments:
            self._note(seed, (await lab.assignment()).assignment_id)
        await lab.upload(self._assignments[seed], tools.make_contribution(seed))
        self._note(seed)


def files(folder):
    """What lies in a state folder; a task's id is drawn, so the ledger's contents and segments' names are left out."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
