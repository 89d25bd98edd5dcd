"""A private PostgreSQL server for the tests, and a database for each."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
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
        folder = Path(name)
        data, options = folder / "data", f"-k {folder} -c listen_addresses=''"
        user = None
        if os.geteuid() == 0:
            user = next(user for user in _USERS if _is_user(user))
            os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)

        def run(*command):
            subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

        run("initdb", "-D", str(data), "-U", "fedau2", "--auth=trust", "--locale=C", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "server.log"), "-o", options, "start")
        try:
            yield sa.URL.create("postgresql", "fedau2", database="postgres", query={"host": str(folder)})
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")


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
