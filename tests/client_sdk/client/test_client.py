from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from threading import Event, Thread

import numpy as np
import pytest

from client_sdk import Outcome, Recommendation, Result, retry
from client_sdk.errors import (
    NoDataError,
    NoModelError,
    RefusedError,
    StoreError,
    TaskError,
    TrainingError,
    TransportError,
    UsageError,
)
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.onnx.onnx_training import OnnxTraining
from client_sdk.onnx.served_model import ServedModel
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.trust import Trust
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1.device_pb2 import CheckInRequest, CheckInResponse, FailureReason, Rejection
from fedau2.wire import blobs
from fedau2.wire.status import Status, StatusError


def test_a_first_sync_trains_and_uploads(client, remote, window):
    client.record("film-1")
    client.set_attribute("gender", "F")
    assert client.sync() == Outcome(Result.UPLOADED, retry.window(window))
    assert remote.names() == ["check_in"] + ["fetch"] * 6 + ["upload"]
    assert remote.calls[0][1] == CheckInRequest(population="films", client_version=version("fedau2"))


def test_recommendations_are_the_best_unseen_items_of_the_model(synced, bundle, tmp_path):
    found = synced.recommend(k=4)
    synced.close()
    store = SqliteStore(tmp_path / "state")
    graphs = [bundle.blobs[graph.resource.sha256] for graph in bundle.manifest.graphs[:2]]
    tensors = blobs.unpack(bundle.blobs[bundle.checkpoint.sha256])
    private = {
        name: value[0] for name, value in store.personalised.served("task", store.private("task")).values.items()
    }
    seen = store.interactions(bundle.manifest.catalogue)
    store.close()
    expected = ServedModel(bundle.manifest, tensors, *graphs).recommend(4, seen, private)
    assert found == [Recommendation(f"film-{row}", score) for row, score in expected]
    assert not {each.item for each in found} & {"film-1", "film-4"}


def test_before_the_first_acknowledgement_the_initial_state_recommends(open_client, remote, bundle, tmp_path):
    client = open_client(personal_steps=None)
    client.record("film-1")
    remote.refusals["upload"] = StatusError(Status.ABORTED, "closed")
    assert client.sync().result == Result.REFUSED
    found = client.recommend(3)
    client.close()
    store = SqliteStore(tmp_path / "state")
    state = initial_state(bundle.manifest, store.task_key(store.model().task_id))
    model = ServedModel.load(store, store.model(), Trust())
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
        with pytest.raises(TransportError, match="is the server running"):
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

    synced._core.engine = Slow()
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
    client.record("film-1")
    remote.assignment = None
    assert client.sync() == Outcome(Result.REJECTED, retry.window(window), "REJECTION_REASON_ROUND_FULL")


@pytest.mark.parametrize("told", [True, False])
def test_a_refused_check_in_says_why_and_when_to_come_back(client, remote, window, told):
    client.record("film-1")
    remote.refusals["check_in"] = StatusError(Status.INVALID_ARGUMENT, "no such population", window if told else None)
    with pytest.raises(RefusedError, match=r"INVALID_ARGUMENT.*no such population") as raised:
        client.sync()
    assert raised.value.status is Status.INVALID_ARGUMENT
    assert raised.value.retry == (retry.window(window) if told else None)


def test_without_records_no_place_in_a_round_is_asked_for(client, remote):
    with pytest.raises(NoDataError, match=r"call record\(\) first"):
        client.sync()
    (name, request), *others = remote.calls
    assert (name, request.without_place, others) == ("check_in", True, [])
    assert client.status().last_sync.error == "NoDataError"
    client.record("film-1")
    assert client.sync().result == Result.UPLOADED


def test_without_records_that_the_catalogue_lists_no_place_is_asked_for(client, remote):
    client.record("film-1")
    client.sync()
    client._store.database.write("UPDATE interactions SET item = 'film-99'", ())
    calls = len(remote.calls)
    with pytest.raises(NoDataError, match="the catalogue lists nothing that is recorded"):
        client.sync()
    assert [(name, request.without_place) for name, request in remote.calls[calls:]] == [("check_in", True)]


def test_a_coordinator_that_assigns_a_place_all_the_same_gets_it_back(client, remote):
    remote.check_in = lambda request: remote._answer("check_in", request, CheckInResponse(assignment=remote.assignment))
    with pytest.raises(NoDataError, match=r"call record\(\) first"):
        client.sync()
    assert remote.names()[-1] == "report_failure"
    assert len(client.recommend()) == 10


def test_an_unanswered_upload_is_made_again_also_after_the_records_are_gone(client, remote, tmp_path):
    client.record("film-1")
    remote.refusals["upload"] = StatusError(Status.UNAVAILABLE, "going down")
    with pytest.raises(TransportError):
        client.sync()
    del remote.refusals["upload"]
    client._store.database.write("DELETE FROM interactions", ())
    assert client.sync().result == Result.UPLOADED


def test_before_the_first_sync_there_is_no_model(client):
    with pytest.raises(NoModelError, match=r"call sync\(\) first"):
        client.recommend()


def test_many_are_recorded_or_none(synced):
    synced.record_many(["film-2", "film-3"])
    assert {"film-2", "film-3"}.isdisjoint(each.item for each in synced.recommend(12))
    before = synced.privacy.export_data()
    for items, times, wrong in [
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
    assert open_client("other", max_interactions=np.int32(2)).status().recorded == 0


def test_a_full_store_says_so_where_it_would_keep_nothing(open_client):
    client = open_client(max_interactions=2)
    client.record_many(["film-1", "film-2"])
    before = client.privacy.export_data()
    old = datetime(1970, 1, 2, tzinfo=UTC)  # as a clock says that lost its battery
    for act in (lambda: client.record("film-3", old), lambda: client.record_many(["film-3", "film-4"], [old, old])):
        with pytest.raises(StoreError, match="check the device's clock"):
            act()
        assert client.privacy.export_data() == before
    client.record_many([])
    client.record_many(["film-3", "film-4"], [old, datetime.now(UTC)])  # of the two, the newest is kept
    assert [kept["item"] for kept in client.privacy.export_data()["interactions"]] == ["film-2", "film-4"]


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


def test_a_reason_that_a_newer_coordinator_has_is_an_outcome(client, remote, window):
    response = CheckInResponse(rejection=Rejection(reason=77, retry=window))
    remote.check_in = lambda request: response
    client.record("film-1")
    assert client.sync() == Outcome(Result.REJECTED, retry.window(window), "REJECTION_REASON_77")


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
