from threading import Event, Thread

import numpy as np
import pytest

from client_sdk.errors import NoModelError, StoreError
from client_sdk.onnx import serving as serving_of
from client_sdk.onnx.served_model import ServedModel
from client_sdk.onnx.serving import Serving
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Model, PrivateState, Staged
from fedau2.v1.task_pb2 import Erased, Eraser, Plan, TaskManifest
from fedau2.wire import blobs


@pytest.fixture
def serving(store):
    return Serving(store, Trust())


def adopt(store, bundle):
    """What a sync does when it is assigned a round."""
    for data in bundle.blobs.values():
        store.keep_blob(blobs.resource(data), data)
    store.adopt(Model("task", bundle.round, bundle.address, bundle.checkpoint))


def in_thread(call):
    """Runs a call in another thread; the result comes when it is asked for."""
    results = []
    thread = Thread(target=lambda: results.append(call()))
    thread.start()

    def result():
        thread.join(60)
        return results[0]

    return result


class Held:
    """Holds the loading of a model back until it is let go."""

    def __init__(self, monkeypatch):
        self.reached, self.go, load = Event(), Event(), ServedModel.load

        def late(store, model, trust):
            self.reached.set()
            self.go.wait(60)
            return load(store, model, trust)

        monkeypatch.setattr(ServedModel, "load", late)


def test_without_a_model_there_is_nothing_to_recommend(serving):
    with pytest.raises(NoModelError, match="call sync"):
        serving.recommend(3)


def test_what_is_recorded_is_left_out_of_the_next_call(store, serving, bundle):
    adopt(store, bundle)
    ranking = [item for item, _ in serving.recommend(12)]
    assert sorted(ranking) == sorted(blobs.catalogue(bundle.blobs[bundle.manifest.catalogue.sha256]))
    while ranking:
        store.record(ranking.pop(0), 0)
        assert [item for item, _ in serving.recommend(12)] == ranking


def test_the_store_is_read_only_when_it_has_changed(store, serving, bundle, monkeypatch):
    adopt(store, bundle)
    before = serving.recommend(3)

    def fail(*arguments):
        raise AssertionError("the store was read")

    for name in ("model", "private", "interactions", "rows", "blob"):
        monkeypatch.setattr(store, name, fail)
    assert serving.recommend(3) == before
    store.record("film-1", 0)
    with pytest.raises(AssertionError, match="was read"):
        serving.recommend(3)


def test_a_busy_store_holds_nobody_up(store, serving, bundle):
    adopt(store, bundle)
    before = serving.recommend(3)
    with store.held():
        assert in_thread(lambda: serving.recommend(3))() == before


def test_until_a_new_model_is_whole_others_are_answered_from_the_one_before(store, serving, bundle, monkeypatch):
    adopt(store, bundle)
    before = serving.recommend(12)
    held = Held(monkeypatch)
    adopt(store, bundle.with_checkpoint(9))
    first = in_thread(lambda: serving.recommend(12))
    held.reached.wait(60)
    assert serving.recommend(12) == before
    store.record(before[0][0], 0)  # it counts for the old model too
    assert serving.recommend(12) == before[1:]
    held.go.set()
    after = first()
    assert after != before
    assert serving.recommend(12) == [each for each in after if each[0] != before[0][0]]


def test_the_model_of_another_task_is_waited_for(store, serving, bundle, bundles, monkeypatch):
    adopt(store, bundle)
    serving.recommend(3)
    held = Held(monkeypatch)
    adopt(store, bundles([f"movie-{row}" for row in range(9)]))
    calls = [in_thread(lambda: serving.recommend(12)) for _ in range(3)]
    held.reached.wait(60)
    held.go.set()
    assert all({item.partition("-")[0] for item, _ in call()} == {"movie"} for call in calls)


def test_a_model_replaced_while_it_is_being_read_gives_way_to_the_newer(store, serving, bundle, monkeypatch):
    newer, load, replaced = bundle.with_checkpoint(9), ServedModel.load, []
    adopt(store, bundle.with_checkpoint(8))

    def replace(store, model, trust):
        if not replaced:
            replaced.append(model)
            adopt(store, newer)  # removes the blobs of the older one
        return load(store, model, trust)

    monkeypatch.setattr(ServedModel, "load", replace)
    found = serving.recommend(12)
    assert len(replaced) == 1
    assert found == Serving(store, Trust()).recommend(12)


def test_new_private_state_is_used_at_once(store, serving, bundle):
    adopt(store, bundle)
    before = serving.recommend(12)
    values = {"user_gmf": np.ones((1, 4), np.float32), "user_mlp": np.ones((1, 6), np.float32)}
    state = PrivateState.start(values, 1)
    store.stage(Staged(b"a", "task", 0, b"contribution", state))
    assert serving.recommend(12) == before
    store.promote(b"a")
    assert serving.recommend(12) != before


def test_a_closed_store_is_told(store, serving, bundle):
    adopt(store, bundle)
    serving.recommend(3)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        serving.recommend(3)


def test_classes_are_those_that_the_device_knows_and_the_task_lists(store):
    parts = [Erased(name=f"hidden-{name}", attribute=name, classes=["a", "b"]) for name in ("first", "second", "third")]
    task = TaskManifest(plan=Plan(eraser=Eraser(erased=parts)))
    store.set_attribute("first", "b")
    store.set_attribute("second", "another")
    assert serving_of._classes(store, task) == {"hidden-first": 1}
    store.set_attribute("first", None)
    assert serving_of._classes(store, task) == {}
    assert serving_of._classes(store, TaskManifest()) == {}
