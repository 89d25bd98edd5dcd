"""What the tests of several coordinators share: a server of PostgreSQL that may be killed, and a task."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from client_sdk.kernel import fedncf
from export import bundle as bundles
from tests import plans
from tests.coordinator.postgres import Replica, Server
from tests.durability.devices import ITEMS

WIDTHS = fedncf.Widths(gmf=4, mlp=8, hidden=(8, 4))


@pytest.fixture(scope="module")
def small_bundle(tmp_path_factory):
    """The folder of a small task."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    bundles.write(bundles.build("fedncf", ITEMS, plans.make("fedncf", plans.GENDER), 0, WIDTHS), folder)
    return folder


@pytest.fixture
def make_server(tmp_path_factory):
    """Makes servers of PostgreSQL that are ended after the test: at a port, or as the replica of another."""
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    if not shutil.which("initdb"):
        pytest.skip("no PostgreSQL (initdb, pg_ctl) is on the PATH")
    with ExitStack() as stack:

        def make(port=None, primary=None):
            folder = Path(tmp_path_factory.mktemp("postgres"))
            for parent in (folder, *folder.parents[:3]):
                parent.chmod(0o755)
            server = Server(folder, port) if primary is None else Replica(folder, port, primary)
            server.start()
            stack.callback(server.end)
            return server

        yield make


@pytest.fixture
def server(make_server):
    """A server of its own, because it is killed."""
    return make_server()
