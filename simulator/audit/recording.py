"""The server's view of a fleet's coordinator: its recording, which it keeps because it was started with `audit`."""

from collections.abc import Iterator
from pathlib import Path

from client_sdk.kernel.training import Task
from coordinator.store import recording
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs, fixed, manifest
from fedau2.wire.contributions import Decoder
from simulator.attacks.contract import Contribution, Seen
from simulator.attacks.uploads import Uploads
from simulator.audit.view import Hidden, Sink, Watch
from simulator.engines.engine import RoundReport, WrappedEngine
from simulator.engines.fleet import FleetEngine
from simulator.errors import FleetError
from simulator.population.population import Members


class Recorded(WrappedEngine):
    """A fleet that is watched through its coordinator's recording; a `RoundEngine`.

    The clients' secrets are computed from their own data before each round. The recording of a round is removed once it
    has been looked at, together with recordings that an interrupted view left.

    Args:
        engine: the fleet.
        task: the manifest.
        watch: the watched clients.
        sink: is shown each round in which any of them takes part.
        folder: of the recording.
    """

    def __init__(self, engine: FleetEngine, task: TaskManifest, watch: Watch, sink: Sink, folder: Path) -> None:
        super().__init__(engine)
        self._fleet, self._manifest, self._watch, self._sink = engine, task, watch, sink
        self._folder, self._round = folder, 0

    def train_round(self, members: Members) -> RoundReport:
        """Trains a cohort, and looks at what the coordinator has of its watched clients.

        Raises:
            FleetError: a session was refused, or the round was not recorded whole.
        """
        present = self._watch.present(members)
        hidden = self._hidden(present) if len(present) else None
        report = self._engine.train_round(members)
        rounds = recording.recorded_rounds(self._folder)
        # An interrupted view may have left rounds of another task.
        of_task = [recorded for recorded in rounds if recorded.task_id == self._fleet.task_id]
        if not of_task or not of_task[-1].whole:
            raise FleetError(
                f"the coordinator has not recorded all of round {self._round} in {self._folder}: was it started with "
                "that audit folder, and is there room on its disk? Its log says what failed; then audit again"
            )
        if hidden:
            self._sink(self._seen(of_task[-1], present), hidden)
        for recorded in rounds:
            recorded.forget()
        self._round += 1
        return report

    def _hidden(self, present: Members) -> Hidden:
        """Computes the secrets of watched clients in the next round, and brings the public users up to it."""
        task = Task.load(self._manifest, self._engine.checkpoint)
        self._watch.learn(task, self._round)
        return self._watch.look(task, present, self._round)[1]

    def _seen(self, recorded: recording.RecordedRound, present: Members) -> Seen:
        """The round from the recording alone, by client: a server recognises clients by the states that it reads."""
        of = self._fleet.contributors()
        paths = {of[assignment_id]: assignment_id for assignment_id in recorded.assignments()}
        task = Task.load(manifest.parse(recorded.manifest), blobs.unpack(recorded.checkpoint))
        decode = Decoder(manifest.shared(task.manifest), fixed.bound(1))

        def contributions() -> Iterator[Contribution]:
            for member in present:
                yield decode(recorded.contribution(paths[int(member)]))

        adversaries = task.manifest.plan.adversaries
        prefixes = tuple(manifest.adversary_prefix(adversary.name) for adversary in adversaries)
        adversarial = [  # only this part stays in memory
            {name: update for name, update in contribution.items() if name.startswith(prefixes)}
            for contribution in contributions()
        ]
        uploads = {adversary.name: Uploads.received(adversary, adversarial) for adversary in adversaries}
        return Seen(recorded.number, task, self._watch.places(present), uploads, contributions)
