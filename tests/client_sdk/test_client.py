import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import client_sdk
from client_sdk import FedClient, Outcome, Recommendation, Result, errors
from client_sdk.arguments import microseconds
from client_sdk.errors import (
    AttributeValueError,
    FedError,
    MissingEngineError,
    NoDataError,
    NoModelError,
    RefusedError,
    StoreError,
    StoreLockedError,
    TaskError,
    TrainingError,
    TransportError,
    UnknownItemError,
    UsageError,
)
from client_sdk.onnx_training import OnnxTraining
from client_sdk.preparation import initial_state
from client_sdk.recommender import Recommender
from client_sdk.sqlite_store import SqliteStore
from client_sdk.state import Model
from client_sdk.torch_engine import TorchEngine
from client_sdk.trust import Trust
from export.bundle import Bundle as ExportedBundle
from export.bundle import write
from fedau2.v1.device_pb2 import CheckInRequest, CheckInResponse, FailureReason, Rejection
from fedau2.wire import blobs
from fedau2.wire.status import Status, StatusError


@pytest.fixture
def open_client(tmp_path, address):
    """Opens clients of the scripted coordinator and closes them at the end."""
    opened = []

    def make(folder="state", coordinator=address, **options):
        opened.append(FedClient.open(tmp_path / folder, coordinator, "films", **options))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def client(open_client):
    return open_client()


@pytest.fixture
def synced(client):
    """A client that has trained one round."""
    client.record("film-1")
    client.record("film-4")
    assert client.sync().result == Result.UPLOADED
    return client


@pytest.fixture
def in_thread():
    """Starts a function in a thread; returns a function that waits for what it returned or raised."""

    def start(act):
        ended = []

        def run():
            try:
                ended.append(act())
            except FedError as error:
                ended.append(error)

        thread = Thread(target=run)
        thread.start()

        def wait():
            thread.join()
            return ended[0]

        return wait

    return start


def test_a_first_sync_trains_and_uploads(client, remote, window):
    client.record("film-1")
    client.set_attribute("gender", "F")
    assert client.sync() == Outcome(Result.UPLOADED, window)
    assert remote.names() == ["check_in"] + ["fetch"] * 6 + ["upload"]
    assert remote.calls[0][1] == CheckInRequest(population="films", client_version=version("fedau2"))


def test_recommendations_are_the_best_unseen_items_of_the_model(synced, bundle, tmp_path):
    found = synced.recommend(k=4)
    synced.close()
    store = SqliteStore(tmp_path / "state")
    graphs = [bundle.blobs[graph.resource.sha256] for graph in bundle.manifest.graphs[:2]]
    tensors = blobs.unpack(bundle.blobs[bundle.checkpoint.sha256])
    private = {name: value[0] for name, value in store.private("task").values.items()}
    seen = store.interactions(bundle.manifest.catalogue)
    store.close()
    expected = Recommender(bundle.manifest, tensors, *graphs).recommend(4, seen, private)
    assert found == [Recommendation(f"film-{row}", score) for row, score in expected]
    assert not {each.item for each in found} & {"film-1", "film-4"}


def test_before_the_first_acknowledgement_the_initial_state_recommends(client, remote, bundle, tmp_path):
    client.record("film-1")
    remote.refusals["upload"] = StatusError(Status.ABORTED, "closed")
    assert client.sync().result == Result.REFUSED
    found = client.recommend(3)
    client.close()
    store = SqliteStore(tmp_path / "state")
    state = initial_state(bundle.manifest, store.key())
    model = Recommender.load(store, store.model(), Trust())
    seen = store.interactions(bundle.manifest.catalogue)
    store.close()
    expected = model.recommend(3, seen, {name: value[0] for name, value in state.values.items()})
    assert found == [Recommendation(f"film-{row}", score) for row, score in expected]


def test_without_a_coordinator_everything_but_sync_goes_on(synced, open_client, nowhere):
    before = synced.recommend()
    synced.close()
    with open_client(coordinator=nowhere) as offline:
        assert offline.recommend() == before
        offline.record(before[0].item)
        assert offline.recommend(12) == [each for each in before if each.item != before[0].item]
        with pytest.raises(TransportError, match="is the coordinator running"):
            offline.sync()
        assert before[0].item not in {each.item for each in offline.recommend()}


def test_a_new_model_version_is_used_at_once(synced, remote, bundle):
    before = synced.recommend()
    remote.bundle = bundle.with_checkpoint(9)
    remote.assignment = remote.bundle.assignment(1, 1)
    synced.sync()
    assert synced.recommend() != before


def test_recommending_goes_on_while_a_sync_trains(synced, remote, bundle):
    before = synced.recommend()
    started, over = Event(), Event()

    class Slow(TorchEngine):
        def begin(self, job):
            started.set()
            over.wait()
            return super().begin(job)

    synced._engine = Slow()
    remote.bundle = bundle.with_checkpoint(9)
    remote.assignment = remote.bundle.assignment(1, 1)
    thread = Thread(target=synced.sync)
    thread.start()
    started.wait()
    during = synced.recommend()
    over.set()
    thread.join()
    assert during != before
    assert remote.names()[-1] == "upload"


def test_ten_threads_record_and_recommend_while_syncs_bring_models(synced, remote, bundle):
    items = [f"film-{row}" for row in range(12)]
    over, wrong, recorded = Event(), [], Counter({"film-1": 1, "film-4": 1})

    def record(item):
        while not over.is_set():
            synced.record(item)
            recorded[item] += 1  # each item has a thread of its own
            assert item not in [each.item for each in synced.recommend(12)]

    def recommend():
        while not over.is_set():
            found = synced.recommend(12)
            # One list of one moment: nothing twice, best first, and no score of another model among them.
            assert len({each.item for each in found}) == len(found) >= 5
            assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)

    def guarded(work, *arguments):
        try:
            work(*arguments)
        except BaseException as error:
            wrong.append(error)

    threads = [Thread(target=guarded, args=(record, item)) for item in items[7:]]
    threads += [Thread(target=guarded, args=(recommend,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for number in range(1, 9):
        remote.bundle = bundle.with_checkpoint(number)
        remote.assignment = remote.bundle.assignment(number, number)
        assert synced.sync().result == Result.UPLOADED
    over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert Counter(each["item"] for each in synced.privacy.export_data()["interactions"]) == recorded


def test_an_unanswered_upload_comes_first_at_the_next_sync(client, remote):
    client.record("film-1")
    remote.refusals["upload"] = StatusError(Status.UNAVAILABLE, "going down")
    with pytest.raises(TransportError):
        client.sync()
    del remote.refusals["upload"]
    assert client.sync().result == Result.UPLOADED
    assert remote.names()[-2:] == ["upload", "upload"]
    assert remote.calls[-1] == remote.calls[-2]


def test_a_rejection_is_an_outcome(client, remote, window):
    remote.assignment = None
    assert client.sync() == Outcome(Result.REJECTED, window, "REJECTION_REASON_ROUND_FULL")


def test_a_refused_check_in_says_why(client, remote):
    remote.refusals["check_in"] = StatusError(Status.INVALID_ARGUMENT, "no such population")
    with pytest.raises(RefusedError, match=r"INVALID_ARGUMENT.*no such population"):
        client.sync()


def test_nothing_recorded_is_told(client):
    with pytest.raises(NoDataError, match=r"call record\(\) first"):
        client.sync()
    assert len(client.recommend()) == 10  # the model is there all the same


def test_before_the_first_sync_there_is_no_model(client):
    with pytest.raises(NoModelError, match=r"call sync\(\) first"):
        client.recommend()


def test_a_damaged_model_is_told_and_fetched_again(synced, tmp_path, bundle):
    (tmp_path / "state/blobs" / bundle.checkpoint.sha256.hex()).write_bytes(b"damaged")
    with pytest.raises(NoModelError, match="fetch it again"):
        synced.recommend()
    synced.sync()
    assert synced.recommend()


def test_an_unknown_item_is_refused_once_the_catalogue_is_known(client, remote):
    client.record("not listed")  # no catalogue says so yet
    client.record("film-1")
    client.sync()
    before = client.recommend(12)
    with pytest.raises(UnknownItemError, match=r"'not listed'.*nothing was recorded"):
        client.record("not listed")
    assert client.recommend(12) == before
    client.record("film-2")


def test_an_attribute_value_is_checked_once_the_task_is_known(client, remote):
    client.set_attribute("gender", "unheard-of")
    client.record("film-1")
    with pytest.raises(AttributeValueError, match="it knows M, F"):
        client.sync()
    with pytest.raises(AttributeValueError, match="it knows M, F"):
        client.set_attribute("gender", "other")
    client.set_attribute("age", "any value of an attribute that the task does not unlearn")
    client.set_attribute("gender", None)
    assert client.sync().result == Result.UPLOADED


def test_an_old_manifest_does_not_keep_an_app_from_recording(synced, bundle, tmp_path):
    # As after an update of the SDK that no longer runs the format of the cached task.
    synced.close()
    other = bundle.with_manifest(format=2)
    with closing(SqliteStore(tmp_path / "state")) as store:
        for data in other.blobs.values():
            store.keep_blob(blobs.resource(data), data)
        store.adopt(Model("task", 1, other.address, other.checkpoint))
    with FedClient.open(tmp_path / "state", "localhost:1", "films") as client:
        client.record("anything")
        client.set_attribute("gender", "anything")
        with pytest.raises(errors.UnsupportedTaskError, match="format 2"):
            client.recommend()


def test_a_second_client_on_the_same_folder_is_refused(client, open_client):
    with pytest.raises(StoreLockedError):
        open_client()
    client.close()
    open_client()


def test_a_closed_client_says_so(client):
    client.close()
    for act in (client.recommend, client.sync, lambda: client.record("film-1")):
        with pytest.raises(StoreError, match="closed"):
            act()


@pytest.mark.parametrize(
    "act",
    [
        lambda client: client.record(7),
        lambda client: client.record(""),
        lambda client: client.record(["film-1"]),
        lambda client: client.record("\ud800"),
        lambda client: client.record("film-1", datetime(2024, 1, 1)),
        lambda client: client.record("film-1", 1700000000),
        lambda client: client.set_attribute("", "M"),
        lambda client: client.set_attribute(None, "M"),
        lambda client: client.set_attribute("gender", 1),
        lambda client: client.set_attribute("gender", ""),
        lambda client: client.recommend(0),
        lambda client: client.recommend(-1),
        lambda client: client.recommend(2.0),
        lambda client: client.recommend(True),
        lambda client: client.recommend("10"),
    ],
)
def test_calls_that_cannot_be_meant_are_told_and_change_nothing(synced, act):
    before = synced.recommend(12)
    with pytest.raises(UsageError):
        act(synced)
    assert synced.recommend(12) == before


@pytest.mark.parametrize(
    "arguments",
    [
        {"state_dir": 7},
        {"state_dir": ""},
        {"coordinator": None},
        {"coordinator": "http://fed.example.com"},
        {"population": ""},
        {"population": "x" * 129},
        {"population": b"films"},
        {"root_certificates": "roots.pem"},
        {"root_certificates": b"PEM", "insecure": True},
    ],
)
def test_arguments_that_cannot_be_meant_open_nothing(tmp_path, arguments):
    good = {"state_dir": tmp_path / "state", "coordinator": "localhost:1", "population": "films"}
    with pytest.raises(UsageError):
        FedClient.open(**{**good, **arguments})
    assert not (tmp_path / "state").exists()


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))])))
def test_times_are_kept_to_the_microsecond(time):
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds(time)) == time


def python(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def test_opening_and_recording_load_no_heavy_library_and_no_network(tmp_path):
    code = """
import sys
from client_sdk import FedClient, Outcome, Recommendation, Result
with FedClient.open(sys.argv[1], "fed.invalid:443", "films") as client:
    client.record("film-1")
    client.set_attribute("gender", "F")
print([name for name in ("torch", "pandas", "onnxruntime", "grpc") if name in sys.modules])
"""
    result = python(code, str(tmp_path / "state"))
    assert result.stdout == "[]\n", result.stderr


def test_the_engine_torch_without_pytorch_says_what_to_install_and_recommend_works(synced, tmp_path, address, remote):
    synced.close()
    calls = len(remote.calls)
    code = """
import sys
sys.modules["torch"] = None
from client_sdk import FedClient, MissingEngineError
with FedClient.open(sys.argv[1], sys.argv[2], "films", engine="torch") as client:
    try:
        client.sync()
    except MissingEngineError as error:
        print(error)
    print(len(client.recommend(5)))
"""
    result = python(code, str(tmp_path / "state"), address)
    said, found = result.stdout.splitlines()
    assert "pip install 'fedau2[torch]'" in said, result.stderr
    assert found == "5"
    assert len(remote.calls) == calls
    assert issubclass(MissingEngineError, FedError)


def test_the_package_exports_what_it_lists():
    for name in client_sdk.__all__:
        assert getattr(client_sdk, name).__name__ == name
    assert set(client_sdk.__all__) <= set(dir(client_sdk))
    listed = {name for name, each in vars(errors).items() if isinstance(each, type)}
    assert listed <= set(client_sdk.__all__)
    with pytest.raises(AttributeError, match="unheard_of"):
        client_sdk.unheard_of  # noqa: B018


def test_many_are_recorded_or_none(synced):
    synced.record_many(["film-2", "film-3"])
    assert {"film-2", "film-3"}.isdisjoint(each.item for each in synced.recommend(12))
    before = synced.privacy.export_data()
    for items, times, wrong in [
        (["film-5", "film-99"], None, UnknownItemError),
        (["film-5", ""], None, UsageError),
        (["film-5"], [], UsageError),
        (["film-5"], [datetime(2026, 1, 1)], UsageError),
        ("film-5", None, UsageError),
    ]:
        with pytest.raises(wrong):
            synced.record_many(items, times)
    assert synced.privacy.export_data() == before


def test_an_apps_own_filter_leaves_out_items_and_changes_no_score(synced):
    everything = synced.recommend(12)
    even = synced.recommend(3, where=lambda item: int(item.removeprefix("film-")) % 2 == 0)
    assert even == [each for each in everything if int(each.item.removeprefix("film-")) % 2 == 0][:3]
    assert synced.recommend(3, where=lambda item: False) == []


def test_the_oldest_interactions_make_room(open_client):
    client = open_client(max_interactions=3)
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in (5, 1, 4, 2, 3)]
    client.record_many([f"film-{time.day}" for time in days], days)
    assert [each["item"] for each in client.privacy.export_data()["interactions"]] == ["film-3", "film-4", "film-5"]
    client.record("film-9")
    assert [each["item"] for each in client.privacy.export_data()["interactions"]] == ["film-4", "film-5", "film-9"]
    with pytest.raises(UsageError, match="max_interactions"):
        open_client("other", max_interactions=0)


@pytest.fixture
def starter(bundle, tmp_path):
    folder = tmp_path / "starter"
    write(
        ExportedBundle(bundle.manifest, {k: v for k, v in bundle.blobs.items() if k != bundle.address.sha256}), folder
    )
    return folder


def test_a_starter_recommends_before_the_first_sync_and_gives_way_to_it(open_client, starter, remote, bundle):
    client = open_client(starter=starter)
    assert len(client.recommend(12)) == 12
    client.record("film-1")
    assert "film-1" not in [each.item for each in client.recommend(12)]
    with pytest.raises(UnknownItemError):
        client.record("film-99")
    assert client.sync().result == Result.UPLOADED
    assert "fetch" not in remote.names()  # it is the coordinator's model still
    client.close()
    for path in starter.rglob("*"):
        if path.is_file():
            path.unlink()
    assert open_client(starter=starter).recommend(12)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def spoil(path):
    path.write_bytes(b"other")


def make_a_folder_of(path):
    path.unlink()
    path.mkdir()


DAMAGES = [cut, spoil, Path.unlink, make_a_folder_of]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("number", range(4))
def test_a_damaged_starter_is_healed_by_the_next_sync(open_client, starter, remote, number, damage, caplog):
    path = sorted((starter / "blobs").iterdir())[number]
    damage(path)
    for _ in range(2):
        client = open_client(starter=starter)
        with pytest.raises(NoModelError, match="sync"):
            client.recommend()
        client.record("film-1")
        client.close()
    assert "the starter is damaged" in caplog.text
    client = open_client(starter=starter)
    assert client.sync().result is Result.UPLOADED
    assert [call.sha256.hex() for name, call in remote.calls if name == "fetch"] == [path.name]  # what it lacked
    assert len(client.recommend(12)) == 11


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_starter_is_nothing_to_a_client_that_has_a_model(open_client, starter, synced, damage, caplog):
    before = synced.recommend(12)
    synced.close()
    for path in [starter / "manifest.binpb", *(starter / "blobs").iterdir()]:
        damage(path)
    assert open_client(starter=starter).recommend(12) == before
    assert "starter" not in caplog.text


def test_a_starter_that_is_no_bundle_is_told_and_leaves_the_folder_free(open_client, starter):
    spoil(starter / "manifest.binpb")
    for wrong in (starter, starter / "nowhere"):
        with pytest.raises(UsageError, match="starter"):
            open_client(starter=wrong)
    with pytest.raises(NoModelError):
        open_client().recommend()


@pytest.mark.parametrize("error", [RuntimeError("[enforce fail] not enough memory"), MemoryError()])
def test_an_engine_that_fails_gives_the_place_back(client, remote, error, monkeypatch):
    def fail(self):
        raise error

    client.record("film-1")
    monkeypatch.setattr(OnnxTraining, "step", fail)
    with pytest.raises(TrainingError):
        client.sync()
    name, request = remote.calls[-1]
    assert (name, request.reason) == ("report_failure", FailureReason.FAILURE_REASON_TRAINING)
    monkeypatch.undo()
    assert client.sync().result == Result.UPLOADED


@contextmanager
def full_database(client):
    """The database's file may not grow."""
    (pages,) = client._store.database.one("PRAGMA page_count")
    client._store.database.one(f"PRAGMA max_page_count = {pages}")
    yield
    client._store.database.one(f"PRAGMA max_page_count = {2**30}")


@contextmanager
def full_disk(client):
    """No file may grow."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def record_until_it_fails(client):
    """Returns how many are recorded then."""
    recorded = client.status().recorded
    for count in (100, 1):
        try:
            while True:
                client.record_many(["film-2"] * count)
                recorded += count
        except StoreError:
            pass
    with pytest.raises(StoreError, match=r"full|disk I/O"):
        client.record("film-2")
    return recorded


@pytest.mark.parametrize("full", [full_database, full_disk])
@pytest.mark.parametrize("before", ["nothing", "a model"])
def test_a_full_disk_loses_nothing_and_all_goes_on_when_there_is_room(client, remote, bundles, full, before, tmp_path):
    items = [f"film-{row}" for row in range(300)]
    remote.bundle = bundles(items)
    remote.assignment = remote.bundle.assignment()
    client.record_many(items[:150])  # so that a contribution fills pages
    if before == "a model":
        client.sync()
        remote.bundle = remote.bundle.with_checkpoint(9)
        remote.assignment = remote.bundle.assignment(1, 1)
    with full(client):
        recorded = record_until_it_fails(client)
        with pytest.raises(StoreError, match=r"full|disk I/O|File too large"):
            client.sync()
        assert remote.names()[-1] == "report_failure"
        assert client.status().recorded == recorded
        assert before == "nothing" or client.recommend(3)
    assert client.status().recorded == recorded
    assert not list((tmp_path / "state").rglob("*.part"))
    client.record("film-3")
    assert client.sync().result is Result.UPLOADED
    client.close()
    with closing(SqliteStore(tmp_path / "state")) as store:
        assert store.recorded() == recorded + 1


def test_files_in_a_folder_that_all_may_read_are_their_owners(open_client, tmp_path):
    before = os.umask(0)
    try:
        (tmp_path / "state").mkdir()
        (tmp_path / "state").chmod(0o755)
        client = open_client()
        client.record("film-1")
        client.sync()
        client.recommend()
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").rglob("*")}
    finally:
        os.umask(before)
    assert {path.name for path in modes} >= {"state.db", "state.db-wal", "state.db-shm", "lock", "pace.json", "blobs"}
    assert {path: mode for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o755


def damage_database(folder):
    (folder / "state.db").write_bytes(b"no database" * 1000)


def damage_state(folder):
    with closing(sqlite3.connect(folder / "state.db")) as database, database:
        database.execute("UPDATE private SET state = x'00'")


def lose_the_key(folder):
    with closing(sqlite3.connect(folder / "state.db")) as database, database:
        database.execute("DELETE FROM client")


def damage_the_model(folder):
    with closing(sqlite3.connect(folder / "state.db")) as database, database:
        database.execute("UPDATE model SET manifest = x'ff'")


def make_a_file_of_it(folder):
    shutil.rmtree(folder)
    folder.write_text("no folder")


@pytest.mark.parametrize("spoil", [damage_database, damage_state, lose_the_key, damage_the_model, make_a_file_of_it])
def test_whatever_becomes_of_the_folder_only_our_errors_are_raised(synced, open_client, spoil, tmp_path):
    synced.close()
    spoil(tmp_path / "state")

    def use():
        client = open_client()
        client.recommend()
        client.sync()

    with pytest.raises(FedError):
        use()


@pytest.mark.parametrize("options", [{"root_certificates": b"no PEM"}, {"root_certificates": None}])
def test_whatever_the_certificate_only_our_errors_are_raised(open_client, address, options):
    secure = address.replace("127.0.0.1", "localhost")
    client = open_client(coordinator=secure if options["root_certificates"] else "192.0.2.1:1", **options)
    client.record("film-1")
    with pytest.raises(FedError):
        client.sync()


@pytest.mark.parametrize("where", ["begin", "finish"])
def test_an_engine_of_ones_own_that_fails_gives_the_place_back(open_client, remote, where):
    class Training:
        steps = 0

        def finish(self):
            raise ValueError("quotes the user")

    class Engine:
        def begin(self, job):
            if where == "begin":
                raise ValueError("quotes the user")
            return Training()

    client = open_client(engine=Engine())
    client.record("film-1")
    with pytest.raises(TrainingError) as raised:
        client.sync()
    assert "quotes" not in str(raised.value)
    assert remote.names()[-1] == "report_failure"


def test_a_transaction_that_a_signal_cut_off_does_not_block_the_next(client):
    client._store.database._connection.execute("BEGIN IMMEDIATE")
    client.record("film-1")
    assert client.status().recorded == 1


def test_a_reason_that_a_newer_coordinator_has_is_an_outcome(client, remote, window):
    response = CheckInResponse(rejection=Rejection(reason=77, retry=window))
    remote.check_in = lambda request: response
    assert client.sync() == Outcome(Result.REJECTED, window, "REJECTION_REASON_77")


@pytest.mark.parametrize("spoil", [lambda t: {**t, "item_gmf": np.full_like(t["item_gmf"], np.nan)}, lambda t: {}])
def test_a_model_that_cannot_work_does_not_take_the_place_of_one_that_does(synced, remote, bundle, spoil):
    before = synced.recommend(12)
    data = blobs.pack(spoil(blobs.unpack(bundle.blobs[bundle.checkpoint.sha256])))
    broken = replace(bundle, blobs=bundle.blobs | {blobs.sha256(data): data}, checkpoint=blobs.resource(data), round=1)
    remote.bundle, remote.assignment = broken, broken.assignment(1)
    with pytest.raises(TaskError):
        synced.sync()
    assert remote.names()[-1] == "report_failure"
    assert synced.recommend(12) == before


def test_a_closed_client_writes_nothing_more(open_client, remote, tmp_path, in_thread):
    reached, go = Event(), Event()

    class Held(TorchEngine):
        def begin(self, job):
            reached.set()
            assert go.wait(60)
            return super().begin(job)

    client = open_client(engine=Held())
    client.record("film-1")
    syncing = in_thread(client.sync)
    assert reached.wait(60)
    client.close()
    before = {path: path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()}
    go.set()
    assert syncing().result is Result.INTERRUPTED
    assert remote.names()[-1] == "report_failure"  # its place is given back
    assert {path: path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()} == before
    with pytest.raises(StoreError):
        client.background.start()


def test_closing_ends_a_call_that_is_not_answered(open_client, silent, serve, in_thread):
    client = open_client(coordinator=serve(silent))
    syncing = in_thread(client.sync)
    assert silent.called.wait(60)
    client.close()
    assert "ended here" in str(syncing())
    assert silent.hung_up.wait(60)
    assert silent.left > 0  # it was no deadline that ended the call


def test_closing_keeps_a_sync_that_has_not_called_yet_from_calling(open_client, remote, in_thread, monkeypatch):
    reached, go = Event(), Event()
    client = open_client()
    make = client._trainer

    def trainer():
        reached.set()
        assert go.wait(60)
        return make()

    monkeypatch.setattr(client, "_trainer", trainer)
    syncing = in_thread(client.sync)
    assert reached.wait(60)
    client.close()
    go.set()
    assert isinstance(syncing(), StoreError)
    assert remote.calls == []


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.record_many(5),
        lambda c: c.record_many(["film-1"], 5),
        lambda c: c.record("film-1", datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))),
        lambda c: c.recommend(3, where=5),
        lambda c: c.events.subscribe(5),
        lambda c: c.privacy.forget_attribute(["gender"]),
        lambda c: c.privacy.forget_attribute("\ud800"),
        lambda c: FedClient.open("a\0b", "127.0.0.1:1", "films"),
        lambda c: FedClient.open("\ud800\udfffx", "127.0.0.1:1", "films"),
        lambda c: FedClient.open("x", "127.0.0.1:1", "films", starter=5),
        lambda c: FedClient.open("x", "127.0.0.1:1", "films", engine="tensorflow"),
    ],
)
def test_a_call_that_cannot_be_meant_is_told(synced, call):
    with pytest.raises(UsageError):
        call(synced)
