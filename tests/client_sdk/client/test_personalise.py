"""What an app sees of personal steps, and what the coordinator does not."""

import json
from contextlib import closing

import numpy as np
import pytest

from client_sdk import AsyncFedClient, Ended, Personalisation, Result
from client_sdk.errors import NoModelError, StoreClosedError, TimedOutError, UsageError
from client_sdk.personalisation.personaliser import STEPS
from client_sdk.personalisation.steps import PersonalSteps
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.wire.status import Status, StatusError


@pytest.fixture
def slow(client):
    """A client with a model that takes no steps by itself, and has taken none."""
    client._core.personal._steps = None
    client.record_many(["film-1", "film-4"])
    client.sync()
    return client


def personal(client):
    return client._store.personalised.get("task")


def served(client):
    return client._store.personalised.served("task", client._store.private("task"))


def forgets_and_records(client):
    item = client.privacy.export_data()["interactions"][0]["item"]
    client.record_many([item] * client.forget(item))


def test_before_the_first_model_there_is_nothing_to_personalise(client):
    client.record("film-1")
    with pytest.raises(NoModelError, match="call sync"):
        client.personalise()


def test_steps_change_recommendations_without_a_call(slow, remote):
    before, calls, private = slow.recommend(12), list(remote.calls), slow._store.private("task").pack()
    assert slow.personalise(4) == Personalisation(4, Ended.DONE)
    assert remote.calls == calls
    assert slow._store.private("task").pack() == private
    after = slow.recommend(12)
    assert {each.item for each in after} == {each.item for each in before}
    assert {each.score for each in after} != {each.score for each in before}


def test_a_client_personalises_by_itself_at_the_end_of_a_sync(synced, remote):
    assert personal(synced).steps == STEPS
    remote.assignment = None
    assert synced.sync().result == Result.REJECTED
    assert personal(synced).steps == STEPS, "neither the model nor the records are new"
    synced.record("film-5")
    synced.sync()
    assert personal(synced).steps == 2 * STEPS


def test_a_client_that_cannot_take_steps_still_syncs(client, monkeypatch):
    def fails(self, number):
        raise MemoryError

    monkeypatch.setattr(PersonalSteps, "step", fails)
    client.record("film-1")
    assert client.sync().result == Result.UPLOADED
    assert personal(client).steps == 0


def contributions(open_client, remote, folder, steps):
    """Three contributions of one client; the second is refused."""
    del remote.calls[:]
    with open_client(folder, personal_steps=None) as client:
        client._store.database.write("UPDATE client SET key = ?", (bytes(16),))
        client.record_many(["film-1", "film-4"])
        client.set_attribute("gender", "F")
        for number in range(3):
            remote.assignment = remote.bundle.assignment(number=number, round_number=number)
            remote.refusals = {"upload": StatusError(Status.ABORTED, "over")} if number == 1 else {}
            assert client.sync().result == (Result.REFUSED if number == 1 else Result.UPLOADED)
            if steps:
                client.personalise(steps)
        taken = personal(client).steps
    return taken, [header_and_data[1] for name, header_and_data in remote.calls if name == "upload"]


def test_no_byte_of_a_contribution_depends_on_personal_steps(open_client, remote):
    without, with_steps = (contributions(open_client, remote, folder, n) for folder, n in (("one", None), ("two", 6)))
    assert (without[0], with_steps[0]) == (0, 18)
    assert len(without[1]) == 3
    assert without[1] == with_steps[1]


def test_a_refused_upload_keeps_what_was_personalised(synced, remote):
    before, state = (
        personal(synced).steps,
        served(synced).steps[0],
    )
    promoted = synced._store.private("task").pack()
    remote.assignment = remote.bundle.assignment(number=1, round_number=1)
    remote.refusals["upload"] = StatusError(Status.ABORTED, "over")
    synced.record("film-5")
    assert synced.sync().result == Result.REFUSED
    assert synced._store.private("task").pack() == promoted
    assert personal(synced).steps == before + STEPS
    assert served(synced).steps[0] == state + STEPS


def test_a_timeout_ends_steps_and_keeps_them(slow, monkeypatch):
    from client_sdk.scheduling.timeout import Timeout

    times = iter([1.0, 1.0, 0.0])
    monkeypatch.setattr(Timeout, "left", lambda self: next(times, 0.0))
    assert slow.personalise(10, timeout=5) == Personalisation(1, Ended.TIMEOUT)
    assert personal(slow).steps == 1


def test_it_waits_for_a_sync_no_longer_than_it_may(slow):
    with slow._core.syncs.alone() as alone:
        assert alone
        with pytest.raises(TimedOutError):
            slow.personalise(timeout=0.01)


def test_arguments_are_checked(slow, open_client):
    for wrong in ({"steps": 0}, {"steps": 1.5}, {"timeout": 0}):
        with pytest.raises(UsageError):
            slow.personalise(**wrong)
    with pytest.raises(UsageError, match="personal_steps"):
        open_client("other", personal_steps=0)
    slow.close()
    with pytest.raises(StoreClosedError):
        slow.personalise()


def test_a_callback_cannot_personalise(client):
    errors = []

    def callback(event):
        with pytest.raises(UsageError) as error:
            client.personalise()
        errors.append(error)

    client.record("film-1")
    client.events.subscribe(callback)
    client.sync()
    assert errors


def test_what_was_personalised_is_exported_and_removed(slow, remote, tmp_path):
    slow.set_attribute("gender", "F")
    remote.assignment = remote.bundle.assignment(number=1, round_number=1)
    assert slow.sync().result == Result.UPLOADED
    slow.personalise(2)
    exported = json.loads(json.dumps(slow.privacy.export_data()))["personal_vectors"]["task"]
    state = personal(slow).state
    np.testing.assert_array_equal(np.float32(exported["user_gmf"]), state.values["user_gmf"][0])
    slow.set_attribute("gender", None)  # what was trained with it stays until it is forgotten
    slow.privacy.forget_attribute("gender")
    assert (personal(slow).state, personal(slow).steps, personal(slow).attributes) == (None, 2, ())
    files = b"".join(path.read_bytes() for path in (tmp_path / "state").glob("state.db*"))
    assert state.values["user_gmf"].tobytes() not in files
    slow.personalise(2)
    assert personal(slow).steps == 4, "a number of a step was used twice"
    slow.privacy.delete_data()
    assert (personal(slow).state, personal(slow).steps) == (None, 0)


def test_an_attribute_that_no_state_was_trained_with_removes_none(slow):
    slow.personalise(2)
    slow.privacy.forget_attribute("gender")
    assert personal(slow).state is not None


@pytest.mark.parametrize("steps", [None, 3])
def test_asyncio_has_the_same(tmp_path, address, steps):
    import asyncio

    async def app():
        async with await AsyncFedClient.open(tmp_path / "state", address, "films", personal_steps=steps) as client:
            await client.record("film-1")
            assert (await client.sync()).result == Result.UPLOADED
            return await client.personalise(2, timeout=60)

    assert asyncio.run(app()) == Personalisation(2, Ended.DONE)
    with closing(SqliteStore(tmp_path / "state")) as store:
        assert store.personalised.get("task").steps == 2 + (steps or 0)


@pytest.mark.parametrize("removes", [lambda client: client.privacy.forget_attribute("gender"), forgets_and_records])
def test_a_client_personalises_again_after_the_user_removed_what_it_had(synced, remote, removes):
    remote.assignment = None
    synced.set_attribute("gender", "F")
    removes(synced)
    assert personal(synced).state is None
    synced.sync()
    assert personal(synced).state is not None


def test_the_privacy_report_knows_of_personal_vectors(client, remote):
    client.record_many(["film-1", "film-4"])
    remote.refusals["upload"] = StatusError(Status.ABORTED, "over")
    assert client.sync().result == Result.REFUSED
    assert client._store.private("task") is None
    assert "profile_kept" in [statement.code for statement in client.privacy.report().statements]
