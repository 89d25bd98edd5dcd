"""A forked process inherits an open client: it is told so, waits for nothing, and frees nothing."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from contextlib import closing
from threading import Event, Thread

import pytest

from client_sdk import AsyncFedClient, FedClient
from client_sdk.errors import StoreForkedError, StoreLockedError
from client_sdk.store.sqlite_store import SqliteStore

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

CALLS = {
    "record": lambda c: c.record("film-2"),
    "record_many": lambda c: c.record_many(["film-2", "film-3"]),
    "set_attribute": lambda c: c.set_attribute("gender", "F"),
    "forget an attribute": lambda c: c.set_attribute("gender", None),
    "sync": lambda c: c.sync(),
    "recommend": lambda c: c.recommend(3),
    "score": lambda c: c.score(["film-2"]),
    "explain": lambda c: c.explain("film-2"),
    "exclude": lambda c: c.exclude("film-2"),
    "include": lambda c: c.include("film-2"),
    "excluded": lambda c: c.excluded(),
    "forget": lambda c: c.forget("film-2"),
    "status": lambda c: c.status(),
    "report": lambda c: c.privacy.report(),
    "export_data": lambda c: c.privacy.export_data(),
    "forget_attribute": lambda c: c.privacy.forget_attribute("gender"),
    "delete_data": lambda c: c.privacy.delete_data(),
    "start": lambda c: c.background.start(),
    "stop": lambda c: c.background.stop(),
}
BLOCKING = {
    **CALLS,
    "subscribe": lambda c: c.events.subscribe(print),
    "background.status": lambda c: c.background.status(),
}


def child(work):
    """Returns what a forked process returned or raised. A process that hangs is ended by an alarm."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        try:
            result = work()
        except BaseException as error:
            result = error
        os.write(writing, pickle.dumps(result))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    assert os.waitpid(process, 0)[1] == 0, "the forked process hung"
    return pickle.loads(data)


def outcomes(client, calls):
    """The names of the errors that calls raise; None where one raised nothing."""
    raised = {}
    for name, call in calls.items():
        try:
            call(client)
            raised[name] = None
        except Exception as error:
            raised[name] = type(error).__name__
    return raised


def another_opens(folder):
    """What another process is told that opens the folder."""
    code = "import sys; from pathlib import Path; from client_sdk.store.sqlite_store import SqliteStore; "
    code += "SqliteStore(Path(sys.argv[1])).close()"
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    return "locked" if "StoreLockedError" in done.stderr else done.stderr


@pytest.fixture
def busy(synced):
    """A client whose locks are all held by another thread."""
    reached, over = Event(), Event()

    def hold():
        with synced._store.held(), synced._core.syncs.alone(), synced.background._lock:
            reached.set()
            over.wait(60)

    thread = Thread(target=hold)
    thread.start()
    assert reached.wait(60)
    yield synced
    over.set()
    thread.join()


def test_every_call_of_a_forked_process_is_told_at_once(busy):
    assert child(lambda: outcomes(busy, BLOCKING)) == dict.fromkeys(BLOCKING, "StoreForkedError")
    assert "open one after the fork" in str(child(busy.status))


def test_every_call_of_the_asyncio_client_too(tmp_path, address):
    client = asyncio.run(AsyncFedClient.open(tmp_path / "async", address, "films"))
    calls = {name: lambda c, call=call: asyncio.run(call(c)) for name, call in CALLS.items()}
    with client._core.store.held():
        assert child(lambda: outcomes(client, calls)) == dict.fromkeys(calls, "StoreForkedError")
        assert child(lambda: asyncio.run(client.close())) is None
    assert another_opens(tmp_path / "async") == "locked"
    asyncio.run(client.close())


def close_it(client):
    client.close()


def drop_it(client):
    client._store._state.__del__()


def leave_its_block(client):
    with client:
        pass


@pytest.mark.parametrize("end", [close_it, drop_it, leave_its_block])
def test_the_end_in_a_forked_process_frees_nothing(busy, tmp_path, end):
    assert child(lambda: end(busy)) is None
    assert another_opens(tmp_path / "state") == "locked"


def test_the_client_goes_on_beside_forked_processes(synced, open_client, tmp_path):
    for _ in range(3):
        child(lambda: outcomes(synced, BLOCKING))
        synced.record("film-5")
    assert synced.status().recorded == 5
    synced.close()
    assert open_client().status().recorded == 5


def test_a_forked_process_may_open_a_client_of_its_own(synced, tmp_path):
    def life():
        with closing(SqliteStore(tmp_path / "own")) as store:
            store.record("film-1", 0)
            return store.recorded()

    assert child(life) == 1
    assert isinstance(child(lambda: SqliteStore(tmp_path / "state")), StoreLockedError)
    assert isinstance(child(synced.status), StoreForkedError)


EXITS = """
import os, sys
from client_sdk import FedClient
client = FedClient.open(sys.argv[1], "localhost:1", "films")
client.record("film-1")
process = os.fork()
if process == 0:
    sys.exit()  # an ordinary end, which collects what was inherited
os.waitpid(process, 0)
client.record("film-2")
try:
    FedClient.open(sys.argv[1], "localhost:1", "films")
except Exception as error:
    print(type(error).__name__, client.status().recorded)
client.close()
"""


def test_an_ordinary_end_of_a_forked_process_leaves_the_client_whole(tmp_path):
    command = [sys.executable, "-W", "error", "-c", EXITS, str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("StoreLockedError 2\n", "")
    with FedClient.open(tmp_path / "state", "localhost:1", "films") as client:
        assert client.status().recorded == 2
