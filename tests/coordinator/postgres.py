"""A private PostgreSQL server for the tests, and a database for each."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

_USERS = ("postgres", "nobody")
"""Whom the server runs as where the tests run as root, which it refuses."""


@pytest.fixture(scope="session")
def postgres():
    """URL of a server: the one that FEDAU2_POSTGRES names, or one of its own for this session."""
    if url := os.environ.get("FEDAU2_POSTGRES"):
        yield sa.make_url(url)
    elif shutil.which("initdb") and shutil.which("pg_ctl"):
        with _server() as url:
            yield url
    else:
        pytest.skip("FEDAU2_POSTGRES names no server, and no PostgreSQL (initdb, pg_ctl) is on the PATH")


@contextmanager
def _server():
    with tempfile.TemporaryDirectory(prefix="fedau2-postgres-", ignore_cleanup_errors=True) as name:
        server = Server(Path(name))
        server.start()
        try:
            yield server.url
        finally:
            server.stop()


class Server:
    """A server in a folder, reached by a socket there, or at a port of this machine if one is given."""

    def __init__(self, folder, port=None):
        listen = "listen_addresses=''" if port is None else f"listen_addresses=127.0.0.1 -p {port}"
        self._options = f"-k {folder} -c {listen}"
        self._folder, self._data, self._user = folder, folder / "data", None
        if os.geteuid() == 0:
            self._user = next(user for user in _USERS if _is_user(user))
            os.chown(folder, pwd.getpwnam(self._user).pw_uid, pwd.getpwnam(self._user).pw_gid)
        place = {"query": {"host": str(folder)}} if port is None else {"host": "127.0.0.1", "port": port}
        self.url = sa.URL.create("postgresql", "fedau2", database="postgres", **place)
        self._make()

    def _make(self):
        settings = ("-U", "fedau2", "--auth=trust", "--locale=C", "-E", "UTF8", "--no-sync")
        self._run("initdb", "-D", str(self._data), *settings)

    def start(self):
        """Starts it, and waits until it answers."""
        self._control("-l", str(self._folder / "server.log"), "-o", self._options, "start")

    def stop(self):
        """Ends it."""
        self._control("-m", "immediate", "stop")

    def end(self):
        """Ends it, if it has not been killed."""
        with suppress(FileNotFoundError):
            if Path(f"/proc/{self._pid()}").exists():
                self.stop()

    def promote(self):
        """Makes a primary of a replica."""
        self._control("promote")

    def kill(self):
        """Ends its first process by SIGKILL, and waits until all others have noticed."""
        children = f"/proc/{self._pid()}/task/{self._pid()}/children"
        family = [self._pid(), *map(int, Path(children).read_text().split())]
        os.kill(family[0], signal.SIGKILL)
        while any(Path(f"/proc/{pid}").exists() for pid in family):
            time.sleep(0.01)

    def _pid(self):
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def _control(self, *options):
        self._run("pg_ctl", "-D", str(self._data), "-w", *options)

    def _run(self, *command):
        subprocess.run(command, check=True, user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL)


class Replica(Server):
    """A replica of another server, which follows it until it is promoted."""

    def __init__(self, folder, port, primary):
        self._primary = primary
        super().__init__(folder, port)

    def _make(self):
        source = self._primary.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._run("pg_basebackup", "-D", str(self._data), "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync")


def _is_user(name):
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


@contextmanager
def administration(postgres):
    """A connection to the server, outside of every ledger."""
    engine = sa.create_engine(postgres.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def fresh_database(postgres):
    """URL of a new, empty database."""
    name = f"fedau2_test_{secrets.token_hex(8)}"
    with administration(postgres) as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield postgres.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres):
    """URL of a new, empty database."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """URL of a new, empty ledger's database, of either kind."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
