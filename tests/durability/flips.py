"""Flips single bits of a state folder that a killed coordinator left, and sees what doctor and start make of it."""

import asyncio
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.cli import main
from coordinator.errors import CoordinatorError
from fedau2.v1 import admin_pb2
from fedau2.wire.errors import WireError
from tests.coordinator import conftest as tools

PARTS = {
    "ledger, write-ahead log": "ledger.sqlite-wal",
    "ledger, main file": "ledger.sqlite",
    "ledger, page sums": "ledger.sqlite-pages",
    "ledger, shared memory": "ledger.sqlite-shm",
    "witness": "witness",
    "id": "id",
    "round's log": "log/*",
    "blobs": "blobs/*",
    "server states": "server-state/*",
}
"""The files of a state folder; the lock file is empty."""

OUTCOMES = ("refused", "repaired", "found by the doctor, not needed", "no effect", "served wrongly", "traceback")

_PATIENCE = 20
"""Seconds after which a task that should go on does not."""


@dataclass
class Work:
    """What devices of two tasks were answered before the coordinator was killed.

    Attributes:
        reported: assignments of the open rounds with the seeds of their contributions, which were acknowledged.
        live: assignments of the open rounds that are out, with their seeds.
    """

    reported: list = field(default_factory=list)
    live: list = field(default_factory=list)

    async def begin(self, lab):
        """Commits a round of both tasks."""
        for name in ("movies", "books"):
            task_id = await lab.create(tools.make_bundle(population=name, rounds=5))
            for seed in range(3):
                await lab.upload(await self._join(lab, name), tools.make_contribution(seed))
            await lab.committed(task_id, 1)

    async def go_on(self, lab):
        """Commits another round of one task, and leaves both in mid-round."""
        for seed in range(3, 6):
            await lab.upload(await self._join(lab, "movies"), tools.make_contribution(seed))
        for name, first in (("movies", 6), ("books", 3)):
            for seed in (first, first + 1):
                assignment = await self._join(lab, name)
                await lab.upload(assignment, tools.make_contribution(seed))
                self.reported.append((assignment, seed))
            self.live.append((await self._join(lab, name), first + 2))

    async def _join(self, lab, name):
        while True:
            response = await lab.check_in(name)
            if response.WhichOneof("result") == "assignment":
                return response.assignment
            await asyncio.sleep(0.01)  # the round is being committed

    async def service(self, state):
        """What devices and operators are answered by a coordinator that goes on from a folder, to the next commits."""
        async with tools.open_lab(state) as lab, asyncio.timeout(_PATIENCE):
            before = [await self._seen(lab, task) for task in await self._tasks(lab)]
            for assignment, seed in self.reported + self.live:
                await lab.upload(assignment, tools.make_contribution(seed))
            for task in await self._tasks(lab):
                await lab.committed(task.task_id, 3 if task.population == "movies" else 2)
            return before, [task.checkpoint.sha256 for task in await self._tasks(lab)]

    async def _tasks(self, lab):
        return (await lab.link.list_tasks(admin_pb2.ListTasksRequest())).tasks

    async def _seen(self, lab, task):
        rounds = await lab.coordinator.admin.list_rounds(admin_pb2.ListRoundsRequest(task_id=task.task_id))
        blobs = [await lab.fetch(resource.sha256) for resource in (task.manifest, task.checkpoint)]
        return task.SerializeToString(deterministic=True), rounds.SerializeToString(deterministic=True), blobs


class Flips:
    """Flips bits in copies of one state folder.

    Args:
        state: the folder; it is left as it is.
        work: what was going on in it.
        scratch: a folder for the copies.
    """

    def __init__(self, state: Path, work: Work, scratch: Path):
        self._state, self._work, self._scratch = state, work, scratch
        self.table = {part: Counter() for part in PARTS}
        self.examples = {}
        self._expected = asyncio.run(work.service(self._copy()))

    def run(self, count, seed, capsys):
        """Flips so many bits, one at a time, spread evenly over the parts."""
        rng = random.Random(seed)
        for number in range(count):
            part = list(PARTS)[number % len(PARTS)]
            file = rng.choice(sorted(path for path in self._state.glob(PARTS[part]) if path.stat().st_size))
            bit = rng.randrange(8 * file.stat().st_size)
            outcome = self._outcome(file.relative_to(self._state), bit, capsys)
            self.table[part][outcome] += 1
            self.examples.setdefault(outcome, f"bit {bit} of {file.name}")

    def _copy(self):
        copy = self._scratch / "state"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._state, copy)
        return copy

    def _outcome(self, file, bit, capsys):
        state = self._copy()
        data = bytearray((state / file).read_bytes())
        data[bit // 8] ^= 1 << bit % 8
        (state / file).write_bytes(data)
        try:
            healthy = main(["doctor", "--state", str(state)]) == 0
            errors = capsys.readouterr().err
            assert errors.count("\n") <= 1, errors
            served = asyncio.run(self._work.service(state))
        except (CoordinatorError, WireError, OSError) as error:
            return "served wrongly" if isinstance(error, TimeoutError) or healthy else "refused"
        except Exception:
            return "traceback"
        if served != self._expected:
            return "served wrongly"
        if healthy:
            return "no effect"
        return "repaired" if main(["doctor", "--state", str(state)]) == 0 else "found by the doctor, not needed"

    def __str__(self):
        counted = {**self.table, "all": sum(self.table.values(), Counter())}
        lines = [("", *OUTCOMES), ("---",) * (1 + len(OUTCOMES))]
        lines += [(part, *(counts[name] for name in OUTCOMES)) for part, counts in counted.items()]
        return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
