"""A primary of PostgreSQL that dies at its work, a replica that is promoted, and the primary that comes back."""

import signal
import time

import psycopg
import sqlalchemy as sa

from tests.durability.runs import Run
from tests.durability.server import free_port

_LOOK = 0.02
_PATIENCE = 120


class Pair:
    """A primary and its replica.

    Args:
        make: makes servers, see the fixture `make_server`.

    Attributes:
        primary: the server that is the primary at first.
        replica: the other.
        url: of the primary.
    """

    def __init__(self, make):
        self.primary = make(free_port())
        self.url = self.primary.url
        self.replica = make(free_port(), self.primary)

    def both(self, url):
        """The URL of the same database, wherever it can be written."""
        ports = ",".join(f"127.0.0.1:{server.url.port}" for server in (self.primary, self.replica))
        return f"postgresql://fedau2@{ports}/{sa.make_url(url).database}?target_session_attrs=read-write"

    def synchronise(self):
        """From now on a commit ends when the replica has it."""
        with psycopg.connect(self.url.render_as_string(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            while connection.execute(query).fetchone() != (1,):
                time.sleep(_LOOK)

    def await_caught_up(self):
        """Waits until the replica has all that the primary has."""
        query = "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn = pg_current_wal_flush_lsn()"
        with psycopg.connect(self.url.render_as_string(), autocommit=True) as connection:
            while connection.execute(query).fetchone() != (1,):
                time.sleep(_LOOK)

    def fail_over(self):
        """Kills the primary, and promotes the replica."""
        self.primary.kill()
        self.replica.promote()


class FailOver(Run):
    """A run in which the database fails over, and then the former primary comes back while coordinators are restarted.

    Args:
        pair: the servers.
    """

    def __init__(self, fleet, replicas, task_id, pair):
        super().__init__(fleet, replicas, task_id, ["nothing", "fail_over", "come_back"])
        self._pair = pair

    def nothing(self):
        """Does nothing for a third of the rounds."""

    def fail_over(self):
        """All lose the database, and one of them leads again."""
        former, began = self.replicas.await_leader().child, time.monotonic()
        self._pair.fail_over()
        self.replicas.await_leader(other_than=former)
        self.figures.takeovers.append(time.monotonic() - began)
        self.figures.events["fail-overs"] += 1

    def come_back(self):
        """One that starts anew finds the former primary first, which would take its writes: it must not lead."""
        leader = self.replicas.await_leader()
        chosen = next(member for member in self.replicas.members if member is not leader)
        self._pair.primary.start()
        chosen.end(signal.SIGKILL)
        chosen.start()
        assert chosen.child.wait(_PATIENCE) == 1
        assert "the database is a former primary" in chosen.log.read_text()
        assert leader.alive
        self._pair.primary.kill()
        self.figures.events["coordinators refused on the former primary"] += 1
