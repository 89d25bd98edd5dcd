"""What must be true of a coordinator's folder, whatever happened to it; read from the outside, with plain SQL."""

import shutil
import sqlite3
import tempfile
from collections import Counter, defaultdict
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.aggregation import aggregators
from coordinator.aggregation.optimizers import server_step
from fedau2.v1 import admin_pb2
from fedau2.wire import blobs, contributions, fixed, manifest

_ASSIGNED = admin_pb2.ASSIGNMENT_STATE_ASSIGNED
_REPORTED = admin_pb2.ASSIGNMENT_STATE_REPORTED
_FAILED = admin_pb2.ASSIGNMENT_STATE_FAILED
_EXPIRED = admin_pb2.ASSIGNMENT_STATE_EXPIRED
_REFUSED = admin_pb2.ASSIGNMENT_STATE_REFUSED
_COLLECTING = admin_pb2.ROUND_STATE_COLLECTING
_AGGREGATING = admin_pb2.ROUND_STATE_AGGREGATING
_COMMITTED = admin_pb2.ROUND_STATE_COMMITTED
_ABANDONED = admin_pb2.ROUND_STATE_ABANDONED
_OPENING = admin_pb2.ROUND_STATE_OPENING
_SKIPPED = admin_pb2.ROUND_STATE_SKIPPED
_LEGAL = {
    "assignment": {(0, _ASSIGNED), (_ASSIGNED, _REPORTED), (_ASSIGNED, _FAILED), (_ASSIGNED, _EXPIRED)}
    | {(_REPORTED, _REFUSED)},
    "round": {(0, _COLLECTING), (_COLLECTING, _AGGREGATING), (_COLLECTING, _ABANDONED), (_AGGREGATING, _COMMITTED)}
    | {(_COLLECTING, _OPENING), (_OPENING, _AGGREGATING), (_OPENING, _ABANDONED)}
    | {(old, _SKIPPED) for old in (_COLLECTING, _OPENING, _AGGREGATING)},
}
_KEYS = {"assignment": "assignment_id", "round": "task_id, round, attempt"}


@dataclass(frozen=True)
class Report:
    """A contribution that the ledger counts."""

    round: int
    assignment_id: bytes
    sha256: bytes
    attempt: int

    @property
    def staleness(self):
        """Rounds that were committed since its check-in."""
        return max(0, -self.attempt)


class Books:
    """A ledger, opened to be read."""

    def __init__(self, database):
        self._database = database

    def rows(self, query, *values):
        return self._database.execute(query, values).fetchall()

    def dump(self):
        """Everything, as SQL."""
        return "\n".join(self._database.iterdump())

    def newest(self):
        """Of the newest task: its id, state and committed rounds."""
        return self.rows("SELECT task_id, state, round FROM task ORDER BY created DESC LIMIT 1")[0]

    def reports(self):
        """What counts, in every round."""
        query = "SELECT round, assignment_id, sha256, attempt FROM assignment WHERE state = ?"
        return [Report(*row) for row in self.rows(query, _REPORTED)]

    def checkpoints(self):
        """The checkpoint's hash of each committed round, in order."""
        query = "SELECT checkpoint FROM round WHERE state = ? ORDER BY round"
        return [digest for (digest,) in self.rows(query, _COMMITTED)]

    def seconds_per_round(self):
        """From the first commit to the last."""
        query = "SELECT (max(at) - min(at)) / (count(*) - 1) FROM round_history WHERE new = ?"
        return self.rows(query, _COMMITTED)[0][0]

    def check_histories(self):
        """Every life is a legal path that ends in the state that the row has; a contribution is counted once."""
        for table, key in _KEYS.items():
            paths = defaultdict(list)
            for *owner, old, new in self.rows(f"SELECT {key}, old, new FROM {table}_history ORDER BY id"):
                assert (old, new) in _LEGAL[table], (table, owner, old, new)
                paths[tuple(owner)].append((old, new))
            states = {tuple(owner): state for *owner, state in self.rows(f"SELECT {key}, state FROM {table}")}
            assert paths.keys() == states.keys()
            for owner, path in paths.items():
                stops = [0, *(new for _, new in path)]
                assert [old for old, _ in path] == stops[:-1], (table, owner, path)
                assert stops[-1] == states[owner], (table, owner, path)

    def check_checkpoints(self, task, first, sent):
        """Each committed checkpoint is the server's step on exactly the contributions that the ledger counts.

        Args:
            task: the manifest.
            first: bytes of the initial checkpoint.
            sent: bytes of an upload, by its hash.
        """
        counted = defaultdict(list)
        for report in self.reports():
            counted[report.round].append((sent(report.sha256), _weight(task, report.staleness)))
        decode = contributions.Decoder(manifest.shared(task), fixed.bound(1))
        checkpoint, state = blobs.unpack(first), {}
        for number, digest in enumerate(self.checkpoints()):
            total = aggregators.of(task, state=state)
            for data, weight in counted[number]:
                total.add(decode(data), factor=weight)
            checkpoint, state = server_step(task, checkpoint, state, total.mean())
            state |= total.remembered()
            assert blobs.sha256(blobs.pack(checkpoint)) == digest, f"round {number} is not the sum of what it counts"

    def check_devices(self, journal, private):
        """Nothing acknowledged is missing, no device counts twice in a round, no private state is ahead of the ledger.

        Args:
            journal: what the devices wrote down (`devices.Recorder`).
            private: by device, the round of its newest acknowledged contribution, and its private state.
        """
        reports = {report.assignment_id.hex(): report for report in self.reports()}
        for line in journal:
            if line["event"] == "acknowledged":
                assert reports[line["assignment"]].sha256.hex() == line["sha256"], (
                    "an acknowledged contribution is lost"
                )
        senders = {line["assignment"]: line["device"] for line in journal}
        counted = Counter((report.round, senders[assignment]) for assignment, report in reports.items())
        assert max(counted.values()) == 1, "a device counts twice in a round"
        for device, (newest, _) in private.items():
            assert newest is None or counted[newest, device] == 1, "a device believes what is not so"

    def told(self, journal):
        """What the kills have led to, for people."""
        places = Counter(state for (state,) in self.rows("SELECT state FROM assignment"))
        rounds = Counter(state for (state,) in self.rows("SELECT state FROM round"))
        reported, failed, expired = (places[state] for state in (_REPORTED, _FAILED, _EXPIRED))
        return (
            f"of {places.total()} leases {reported} were used, {failed} given back, {expired} ran out; "
            f"{self._lost_answers(journal)} contributions counted although their answer was lost; "
            f"{rounds[_ABANDONED]} attempts were abandoned, {rounds[_COMMITTED]} rounds committed"
        )

    def _lost_answers(self, journal):
        """Contributions of which a device learned only when it sent them again."""
        query = "SELECT assignment_id, at FROM assignment_history WHERE new = ?"
        counted = {key.hex(): at for key, at in self.rows(query, _REPORTED)}
        sent = {line["assignment"]: line["at"] for line in journal if line["event"] == "sent"}  # the last time
        return sum(sent[assignment] > at for assignment, at in counted.items())


def _weight(task, staleness):
    """What a contribution is multiplied by, in 65,536ths."""
    exponent = task.plan.server.buffered.staleness_exponent
    return max(1, round(65536 / (1 + staleness) ** exponent)) / 65536 if staleness else 1.0


@contextmanager
def books(state: Path):
    """The ledger in a state folder, in use or left by a crash: a copy, so that nothing there is repaired."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ledger.sqlite-wal", "ledger.sqlite"):  # what is moved in between is then in both
            if (state / name).exists():
                shutil.copy(state / name, folder)
        with closing(sqlite3.connect(Path(folder) / "ledger.sqlite")) as database:
            database.execute("PRAGMA synchronous = OFF")
            yield Books(database)


class _Postgres:
    """A connection to PostgreSQL that takes queries as SQLite does."""

    def __init__(self, connection):
        self._connection = connection

    def execute(self, query, values):
        return self._connection.execute(query.replace("?", "%s"), values)


@contextmanager
def postgres_books(url):
    """The ledger in a database of PostgreSQL, in use or not."""
    import psycopg  # here, because it comes with an extra

    with psycopg.connect(url) as connection:
        yield Books(_Postgres(connection))
