"""Any run of calls, clocks, restarts and crashes: what is acknowledged counts, once, and every commit is its sum."""

import asyncio
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from coordinator.engine import coordinator as coordinator_module
from coordinator.engine.coordinator import Coordinator
from coordinator.model.closing import Rule
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.ledger import Ledger
from coordinator.store.round_log import RoundLog
from fedau2.v1 import admin_pb2
from fedau2.v1.device_pb2 import Assignment
from fedau2.wire import blobs, contributions
from fedau2.wire.status import Status, StatusError
from tests.coordinator import conftest as tools
from tests.durability.audit import books

ROUNDS = 4

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where folders are made: power cuts are ours, so nothing need wait for a disk."""

STEPS = [
    (RoundLog, "append"),
    (RoundLog, "sync"),
    (RoundLog, "drop"),
    (Ledger, "write"),
    (Ledger, "commit"),
    (BlobFolder, "put"),
    (BlobFolder, "delete"),
]
"""What the storage does, step by step; the power may fail before and after each."""

SEED = st.integers(0, 3)
"""Of a contribution; few, so that the same comes again."""

VISITS = st.lists(st.none() | SEED, max_size=4)
"""Devices that check in: None only holds its place, the others report."""

UNKNOWN = Assignment(assignment_id=b"?" * 16)


class PowerCut(Exception):  # noqa: N818 - no error of the code under test
    """Nothing is written after this."""


@dataclass
class Place:
    """An assignment as its device knows it.

    Attributes:
        assignment: what the coordinator said.
        sent: hashes of the valid contributions that were sent.
        acknowledged: the hash that was acknowledged.
        given_back: whether giving it back was acknowledged.
        deadline: when its lease ends, unless the clock is set back.
    """

    assignment: Assignment
    sent: set[bytes] = field(default_factory=set)
    acknowledged: bytes = b""
    given_back: bool = False
    deadline: float = 0.0


def spoiled(data):
    """Uploads that must be refused: the bytes, and what the header says of them where that is wrong."""
    wrong_shape = contributions.encode({"tower": np.ones((2, 3), np.float32)})
    not_finite = contributions.encode({"tower": np.full((3, 2), np.nan, np.float32)})
    return [
        (data, {"sha256": blobs.sha256(data + b"x")}),
        (data[:-1], {"size": len(data)}),
        (data, {"size": 2**40}),
        (data[:-7], {}),
        (wrong_shape, {}),
        (not_finite, {}),
    ]


class Machine(RuleBasedStateMachine):
    """Drives a real coordinator on a real folder. After every rule it is at rest, so a run can be played again."""

    resources: ExitStack | None = None

    @initialize(
        goal=st.integers(1, 3),
        short=st.integers(0, 2),
        over_selection=st.sampled_from([0.0, 0.5, 1.0]),
        deadline=st.integers(5, 30),
        lease=st.integers(3, 30),
        most_stale=st.sampled_from([0, 0, 1, 2]),
    )
    def begin(self, goal, short, over_selection, deadline, lease, most_stale):
        self.resources = ExitStack()
        self.root = Path(self.resources.enter_context(tempfile.TemporaryDirectory(dir=MEMORY)))
        self.folder = self.root / "0"
        self.cut = None
        patch = self.resources.enter_context(pytest.MonkeyPatch.context())
        for owner, name in STEPS:
            patch.setattr(owner, name, self.cuttable((owner, name), getattr(owner, name)))
        patch.setattr(coordinator_module, "_TICK", 3600)  # of real time, which must decide nothing here
        self.runner = self.resources.enter_context(asyncio.Runner())
        self.clock = tools.Clock()
        self.latest = self.clock.now
        self.bundle = tools.make_bundle(rounds=ROUNDS, closing=tools.closing(
            goal, max(1, goal - short), None, over_selection, deadline, lease))  # fmt: skip
        if most_stale:
            tools.make_buffered(self.bundle, most_stale)
        self.rule = Rule.of(self.bundle.closing, most_stale=most_stale)
        self.places, self.contributions, self.round = [], {}, 0
        self.coordinator = self.runner.run(Coordinator.open(self.folder, self.clock))
        self.task_id = self.runner.run(self.lab.create(self.bundle))

    def teardown(self):
        if self.resources is not None:
            self.runner.run(self.coordinator.close())
            self.resources.close()

    def cuttable(self, step, work):
        def cut(*arguments):
            self.fail_at(step, "before")
            result = work(*arguments)
            self.fail_at(step, "after")
            return result

        return cut

    def fail_at(self, step, moment):
        if self.cut == (step, moment):
            self.cut = None
            raise PowerCut(f"{moment} {step[0].__name__}.{step[1]}")

    # How the rules talk to the coordinator.

    @property
    def lab(self):
        return tools.Lab(tools.InProcess(self.coordinator), self.coordinator)

    def call(self, *calls):
        """Makes calls at the same time and comes to rest. Returns their answers, or the statuses of their refusals."""
        return self.runner.run(self.answers(calls))

    async def answers(self, calls):
        async with asyncio.timeout(30):  # nothing may be stuck
            results = await asyncio.gather(*calls, return_exceptions=True)
            await self.come_to_rest()
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, StatusError):
                raise result
        return [result.status if isinstance(result, StatusError) else result for result in results]

    async def come_to_rest(self):
        """Waits until nothing is being written or committed; after a power cut it starts again."""
        while True:
            if self.coordinator.failure is not None:
                assert isinstance(self.coordinator.failure, PowerCut)
                await self.reopen()
            await asyncio.sleep(0)  # one that has just been opened looks at its clock, and may have to write
            try:
                await self.coordinator.admin.list_rounds(
                    admin_pb2.ListRoundsRequest(task_id=self.task_id)
                )  # after all writes
                task = await self.lab.task(self.task_id)
            except StatusError:
                continue
            if task.round_state != admin_pb2.ROUND_STATE_AGGREGATING:
                return
            await asyncio.sleep(0.001)

    async def reopen(self):
        for place in self.places:  # as long as a lease was, where the clock was set back meanwhile
            place.deadline = min(place.deadline, self.clock.now + self.rule.lease)
        await self.coordinator.close()
        self.coordinator = await Coordinator.open(self.folder, self.clock)

    def task(self):
        (task,) = self.call(self.lab.task(self.task_id))
        return task

    def place(self, back):
        """One of the newest assignments, or one that never was."""
        return self.places[-back] if 0 < back <= len(self.places) else Place(UNKNOWN)

    def contribution(self, place, seed):
        data = tools.make_contribution(seed)
        digest = blobs.sha256(data)
        self.contributions[digest] = data
        place.sent.add(digest)
        return data, digest

    # What devices do.

    @rule(seeds=VISITS)
    def visit(self, seeds):
        """Devices check in one after another; then those that do report, all at the same time."""
        visitors = [(self.check_in(), seed) for seed in seeds]
        self.report([(place, seed) for place, seed in visitors if place is not None and seed is not None])

    def check_in(self):
        (answer,) = self.call(self.lab.check_in())
        if isinstance(answer, Status) or answer.WhichOneof("result") != "assignment":
            return None
        self.places.append(Place(answer.assignment, deadline=self.clock.now + self.rule.lease))
        return self.places[-1]

    @rule(reports=st.lists(st.tuples(st.integers(0, 4), SEED), min_size=1, max_size=4))
    def upload(self, reports):
        """Places report at the same time, perhaps again, perhaps with something else."""
        self.report([(self.place(back), seed) for back, seed in reports])

    def report(self, reports):
        sent = [self.contribution(place, seed) for place, seed in reports]
        calls = (self.lab.upload(place.assignment, data) for (place, _), (data, _) in zip(reports, sent, strict=True))
        for (place, _), (_, digest), answer in zip(reports, sent, self.call(*calls), strict=True):
            self.judge(place, digest, answer)

    def judge(self, place, digest, answer):
        """Holds an answer to an upload against what its device knows."""
        if not isinstance(answer, Status):
            assert place.assignment is not UNKNOWN
            assert place.acknowledged in (b"", digest)
            assert not place.given_back
            place.acknowledged = digest
        elif answer is Status.UNAVAILABLE:
            pass  # the power failed: it may count or not
        elif place.assignment is UNKNOWN:
            assert answer is Status.NOT_FOUND
        elif place.acknowledged:
            assert answer is Status.ALREADY_EXISTS
            assert digest != place.acknowledged
        else:
            assert answer is not Status.NOT_FOUND
            assert answer is not Status.DEADLINE_EXCEEDED or place.deadline <= self.latest
            task, oldest = self.task(), place.assignment.round + self.rule.most_stale
            assert answer is not Status.ABORTED or oldest < task.round or task.round == ROUNDS

    @rule(back=st.integers(0, 6), seed=SEED, way=st.integers(0, 5))
    def upload_spoiled(self, back, seed, way):
        data, header = spoiled(tools.make_contribution(100 + seed))[way]  # never sent as it should be
        (answer,) = self.call(self.lab.upload(self.place(back).assignment, data, **header))
        assert isinstance(answer, Status)

    @rule(back=st.integers(0, 6), times=st.integers(1, 2))
    def report_failure(self, back, times):
        place = self.place(back)
        answers = self.call(*(self.lab.fail(place.assignment) for _ in range(times)))
        if not all(isinstance(answer, Status) for answer in answers):
            assert not place.acknowledged
            place.given_back = True

    # What happens to the coordinator.

    # Devices come after each of these, so that no run is spent on a coordinator without anything to do.

    @rule(seconds=st.integers(-10, 12), seeds=VISITS)
    def pass_time(self, seconds, seeds):
        self.clock.now += seconds
        self.latest = max(self.latest, self.clock.now)
        self.visit(seeds)

    @rule(seeds=VISITS)
    def restart(self, seeds):
        self.call(self.reopen())
        self.visit(seeds)

    @rule(seeds=VISITS)
    def crash(self, seeds):
        """Goes on from a copy of the folder, as it lies there while the coordinator is running."""
        left, self.folder = self.folder, self.root / str(1 + int(self.folder.name))
        shutil.copytree(left, self.folder)
        self.call(self.reopen())
        self.visit(seeds)

    @rule(step=st.sampled_from(STEPS), moment=st.sampled_from(["before", "after"]), seeds=VISITS)
    def fail_power(self, step, moment, seeds):
        """The next time that the storage comes to this step, it is the last thing that it does."""
        self.cut = (step, moment)
        self.visit(seeds)

    # What must be true.

    @invariant()
    def the_books_are_in_order(self):
        first = self.bundle.blobs[self.bundle.manifest.checkpoint.sha256]
        task = self.task()
        with books(self.folder) as ledger:
            self.check_reports({report.assignment_id: report.sha256 for report in ledger.reports()})
            ledger.check_histories()
            ledger.check_checkpoints(self.bundle.manifest, first, self.contributions.__getitem__)
            assert len(ledger.checkpoints()) == task.round
            self.check_staleness(ledger.reports())

    def check_staleness(self, reports):
        """A contribution is as stale as rounds were committed since its check-in, and never too stale."""
        began = {place.assignment.assignment_id: place.assignment.round for place in self.places}
        for report in reports:
            assert 0 <= report.staleness <= self.rule.most_stale
            assert report.assignment_id not in began or report.round - began[report.assignment_id] == report.staleness

    def check_reports(self, counted):
        """Nothing acknowledged is lost, and nothing counts that was not sent."""
        sent = {place.assignment.assignment_id: place for place in self.places}
        assert all(digest in sent[key].sent for key, digest in counted.items())
        for key, place in sent.items():
            assert not place.acknowledged or counted[key] == place.acknowledged
            assert not place.given_back or key not in counted

    @invariant()
    def the_task_goes_forward_within_its_places_and_leaves_no_segment(self):
        task = self.task()
        assert task.round >= self.round
        self.round = task.round
        buffered = self.rule.most_stale > 0
        assert task.live_leases + (0 if buffered else task.reported) <= self.rule.places
        segments = {path.stem for path in (self.folder / "log").iterdir()}
        assert segments <= {f"{self.task_id}-{task.round}"}


CALM = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
Machine.TestCase.settings = settings(CALM, max_examples=30, stateful_step_count=25, derandomize=True)
TestMachine = Machine.TestCase


@pytest.mark.slow
class TestMachineAtLength(Machine.TestCase):
    settings = settings(CALM, max_examples=1000, stateful_step_count=60)
