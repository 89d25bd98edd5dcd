"""The asyncio client against the scripted coordinator, and beside the blocking one."""

import asyncio
import inspect
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager, closing
from threading import Event

import pytest

from client_sdk import AsyncFedClient, FedClient, Joined, Outcome, Result, Uploaded, retry
from client_sdk.aio import Options
from client_sdk.errors import (
    NoModelError,
    RefusedError,
    StoreClosedError,
    TimedOutError,
    TransportError,
    UsageError,
)
from client_sdk.kernel.torch_engine import TorchEngine
from fedau2.v1.device_pb2 import FailureReason
from fedau2.wire.status import Status, StatusError
from tests.client_sdk.client.test_forks import CALLS


@asynccontextmanager
async def opened(folder, address, **options):
    async with await AsyncFedClient.open(folder, address, "films", **options) as client:
        yield client


class Held:
    """An engine whose local step waits to be let go."""

    def __init__(self):
        self.reached, self.go, self._engine = Event(), Event(), TorchEngine()

    def begin(self, job):
        training = self._engine.begin(job)
        step = training.step

        def held():
            self.reached.set()
            assert self.go.wait(60)
            step()

        training.step = held
        return training


async def training(client, engine):
    """A sync, as a task, whose engine is held."""
    await client.record("film-1")
    sync = asyncio.create_task(client.sync())
    await asyncio.to_thread(engine.reached.wait)
    return sync


def test_everything_that_the_blocking_client_does(tmp_path, address, remote, window):
    async def app():
        async with opened(tmp_path / "state", address) as client:
            with pytest.raises(NoModelError):
                await client.recommend()
            heard = []
            client.events.subscribe(heard.append)
            await client.record("film-1")
            await client.record_many(["film-2", "film-3"])
            await client.set_attribute("gender", "F")
            outcome = await client.sync()
            assert (outcome.result, outcome.retry) == (Result.UPLOADED, retry.window(window))
            assert [type(each) for each in heard if isinstance(each, Joined | Uploaded)] == [Joined, Uploaded]
            assert len(await client.recommend(12)) == 9
            assert [each.item for each in await client.recommend(9, lambda item: item == "film-7")] == ["film-7"]
            assert (await client.status()).recorded == 3
            await client.record("film-5", kind="rating", value=4)
            await client.record_many(["film-6"], kinds=["dislike"])
            await client.exclude(["film-8"])
            assert await client.excluded() == ("film-8",)
            diverse = await client.recommend(12, seen=True, boost=lambda item: 1.0, diversity=0.5)
            assert {each.item for each in diverse} == {f"film-{n}" for n in range(12)} - {"film-6", "film-8"}
            assert (await client.score(["film-1", "film-99"])).keys() == {"film-1"}
            assert len(await client.explain("film-7", k=2)) == 2
            await client.include("film-8")
            assert await client.forget("film-5") == await client.forget("film-6") == 1
            assert (await client.privacy.report()).exposed == {"gender": 1}
            assert (await client.privacy.export_data())["attributes"] == {"gender": "F"}
            await client.privacy.forget_attribute("gender")
            await client.privacy.delete_data()
            assert (await client.status()).recorded == 0
            await client.background.start()
            await client.background.stop()

    asyncio.run(app())


def test_it_uploads_the_same_bytes_as_the_blocking_client(tmp_path, address, remote):
    for name in ("blocking", "asyncio"):
        FedClient.open(tmp_path / name, address, "films").close()
        with closing(sqlite3.connect(tmp_path / name / "state.db")) as database, database:
            database.execute("UPDATE client SET key = ?", (bytes(range(16)),))
    with FedClient.open(tmp_path / "blocking", address, "films") as client:
        client.record("film-1")
        client.sync()

    async def app():
        async with opened(tmp_path / "asyncio", address) as client:
            await client.record("film-1")
            await client.sync()

    asyncio.run(app())
    uploads = [request[1] for name, request in remote.calls if name == "upload"]
    assert len(uploads) == 2
    assert uploads[0] == uploads[1]


def test_the_loop_goes_on_while_a_step_is_computed(tmp_path, address):
    engine = Held()

    async def app():
        async with opened(tmp_path / "state", address, engine=engine) as client:
            sync = await training(client, engine)
            await client.record("film-2")  # the loop lets us do this, and so does the store
            assert not sync.done()
            engine.go.set()
            assert (await sync).result == Result.UPLOADED

    asyncio.run(app())


def test_a_cancelled_sync_gives_its_place_back_and_leaves_the_store_whole(tmp_path, address, remote):
    engine = Held()

    async def app():
        async with opened(tmp_path / "state", address, engine=engine) as client:
            sync = await training(client, engine)
            sync.cancel()
            engine.go.set()
            with pytest.raises(asyncio.CancelledError):
                await sync
            name, request = remote.calls[-1]
            assert name == "report_failure"
            assert request.reason == FailureReason.FAILURE_REASON_INTERRUPTED
            assert (await client.privacy.report()).departures == ()
            assert (await client.sync()).result == Result.UPLOADED

    asyncio.run(app())


class Slow:
    """An engine that begins when it is let go."""

    def __init__(self):
        self.reached, self.go, self._engine = Event(), Event(), TorchEngine()

    def begin(self, job):
        self.reached.set()
        assert self.go.wait(60)
        return self._engine.begin(job)


@pytest.mark.parametrize("make", [Held, Slow])
def test_a_sync_cancelled_twice_ends_after_what_is_under_way(tmp_path, address, make):
    engine = make()

    async def app():
        async with opened(tmp_path / "state", address, engine=engine) as client:
            sync = await training(client, engine)
            for _ in range(2):
                sync.cancel()
                await asyncio.sleep(0)
            assert not sync.done()
            engine.go.set()
            with pytest.raises(asyncio.CancelledError):
                await sync
            assert (await client.sync()).result == Result.UPLOADED

    asyncio.run(app())


@pytest.mark.parametrize("make", [Held, Slow])
def test_a_loop_that_ends_during_a_sync_has_its_place_given_back(tmp_path, address, remote, make):
    engine = make()
    tasks = []

    async def let_go_when_cancelled():
        try:
            await asyncio.Event().wait()
        finally:
            engine.go.set()

    async def app():
        client = await AsyncFedClient.open(tmp_path / "state", address, "films", engine=engine)
        await client.record("film-1")
        tasks.extend(asyncio.create_task(each) for each in (client.sync(), let_go_when_cancelled()))
        await asyncio.to_thread(engine.reached.wait)
        return client

    client = asyncio.run(app())
    assert tasks[0].cancelled()
    assert remote.names()[-1] == "report_failure"
    asyncio.run(client.close())


def test_a_sync_that_takes_too_long_is_a_timeout(tmp_path, address, remote):
    engine = Held()

    async def hurry(client):
        async with asyncio.timeout(None) as limit:

            async def expire():
                await asyncio.to_thread(engine.reached.wait)
                limit.reschedule(0)
                await asyncio.sleep(0)
                engine.go.set()

            expiring = asyncio.create_task(expire())
            try:
                await client.sync()
            finally:
                await expiring

    async def app():
        async with opened(tmp_path / "state", address, engine=engine) as client:
            await client.record("film-1")
            with pytest.raises(TimeoutError):
                await hurry(client)
        assert remote.names()[-1] == "report_failure"

    asyncio.run(app())


def test_two_syncs_come_one_after_the_other(tmp_path, address, remote):
    async def app():
        async with opened(tmp_path / "state", address) as client:
            await client.record("film-1")
            results = [each.result for each in await asyncio.gather(client.sync(), client.sync())]
            assert sorted(results, key=str) == [Result.REJECTED, Result.UPLOADED]  # once a round

    asyncio.run(app())
    assert remote.names().count("upload") == 1


def test_its_errors_are_those_of_the_blocking_client(tmp_path, address, remote, nowhere):
    remote.refusals["check_in"] = StatusError(Status.INVALID_ARGUMENT, "no such population")

    async def app():
        async with opened(tmp_path / "state", address) as client:
            await client.record("film-1")
            with pytest.raises(RefusedError, match="no such population"):
                await client.sync()
            assert (await client.status()).last_sync.error == "RefusedError"
        async with opened(tmp_path / "other", nowhere) as client:
            await client.record("film-1")
            with pytest.raises(TransportError):
                await client.sync()

    asyncio.run(app())


def test_closing_ends_a_call_that_is_not_answered(tmp_path, silent, serve):
    async def app():
        client = await AsyncFedClient.open(tmp_path / "state", serve(silent), "films")
        await client.record("film-1")
        sync = asyncio.create_task(client.sync())
        await asyncio.to_thread(silent.called.wait)
        await client.close()
        assert await sync == Outcome(Result.INTERRUPTED)

    asyncio.run(app())
    assert silent.hung_up.wait(60)
    assert silent.left > 0  # it was no deadline that ended the call


@pytest.mark.parametrize("call", sorted(CALLS.keys() - {"stop"}))
def test_a_closed_client_says_so(tmp_path, call):
    async def app():
        async with opened(tmp_path / "state", "localhost:1") as client:
            pass
        with pytest.raises(StoreClosedError, match="is closed: open another"):
            await CALLS[call](client)
        await client.close()

    asyncio.run(app())


def test_closing_interrupts_a_training_and_gives_its_place_back(tmp_path, address, remote):
    engine = Held()

    async def app():
        client = await AsyncFedClient.open(tmp_path / "state", address, "films", engine=engine)
        sync = await training(client, engine)
        await client.close()
        engine.go.set()
        assert (await sync).result is Result.INTERRUPTED
        assert remote.names()[-1] == "report_failure"

    asyncio.run(app())


IMPORTS = """
import asyncio, sys, threading
from importlib.abc import MetaPathFinder
from client_sdk import AsyncFedClient

class Noting(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("grpc", "onnxruntime"):
            threads[name] = threading.current_thread() is threading.main_thread()

async def app():
    async with await AsyncFedClient.open(sys.argv[1], sys.argv[2], "films") as client:
        await client.record("film-1")
        print((await client.sync()).result.value)

threads = {}
sys.meta_path.insert(0, Noting())
asyncio.run(app())
print({"grpc", "grpc.aio", "onnxruntime"} <= {*threads}, sorted(name for name, on_loop in threads.items() if on_loop))
"""


def test_the_first_sync_imports_nothing_heavy_on_the_loop(tmp_path, address):
    command = [sys.executable, "-c", IMPORTS, str(tmp_path / "state"), address]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "uploaded\nTrue []\n", done.stderr


def test_many_removals_during_a_sync_wait_without_taking_its_threads(tmp_path, address):
    engine = Held()

    async def app():
        async with opened(tmp_path / "state", address, engine=engine) as client:
            sync = await training(client, engine)
            removals = [asyncio.create_task(client.privacy.forget_attribute("gender")) for _ in range(50)]
            removals.append(asyncio.create_task(client.privacy.delete_data()))
            await asyncio.sleep(0.2)
            engine.go.set()
            assert (await asyncio.wait_for(sync, 60)).result == Result.UPLOADED
            await asyncio.wait_for(asyncio.gather(*removals), 60)
            assert (await client.status()).recorded == 0

    asyncio.run(app())


def test_an_opening_that_is_cancelled_leaves_the_folder_free(tmp_path, address):
    async def app():
        opening = asyncio.create_task(AsyncFedClient.open(tmp_path / "state", address, "films"))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        async with opened(tmp_path / "state", address) as client:
            await client.record("film-1")

    asyncio.run(app())


def test_a_callback_cannot_delete_by_way_of_the_loop(tmp_path, address):
    async def app():
        async with opened(tmp_path / "state", address) as client:
            loop, raised = asyncio.get_running_loop(), []

            def callback(event):
                try:
                    asyncio.run_coroutine_threadsafe(client.privacy.delete_data(), loop).result(60)
                except UsageError as error:
                    raised.append(error)

            client.events.subscribe(callback)
            await client.record("film-1")
            assert (await client.sync()).result == Result.UPLOADED
            assert raised

    asyncio.run(app())


def test_it_opens_with_the_options_of_the_blocking_client():
    parameters = inspect.signature(FedClient.open).parameters.values()
    assert list(Options.__annotations__) == [
        parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY
    ]


def test_a_sync_ends_at_its_timeout_and_gives_its_place_back(tmp_path, address, remote, silent, serve):
    async def app():
        async with opened(tmp_path / "silent", serve(silent)) as client:
            with pytest.raises(TimedOutError):
                await client.sync(timeout=0.1)
        async with opened(tmp_path / "state", address) as client:
            await client.record("film-1")
            limits = iter([60.0] * 5)  # of a clock that jumps in the midst of a download
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("client_sdk.aio.Timeout.left", lambda self: next(limits, 0.0))
                with pytest.raises(TimedOutError):
                    await client.sync(timeout=60)
            assert remote.names()[-1] == "report_failure"
            with pytest.raises(UsageError, match="timeout"):
                await client.sync(timeout=0)
            assert (await client.sync(timeout=60)).result is Result.UPLOADED

    asyncio.run(app())


def test_a_sync_that_waits_for_another_ends_at_its_timeout(tmp_path, silent, serve):
    async def app():
        async with opened(tmp_path / "state", serve(silent)) as client:
            first = asyncio.create_task(client.sync())
            await asyncio.to_thread(silent.called.wait)
            with pytest.raises(TimedOutError, match="another sync"):
                await client.sync(timeout=0.01)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first

    asyncio.run(app())
