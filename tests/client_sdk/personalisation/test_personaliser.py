import os
import signal
import subprocess
import sys
from contextlib import closing
from math import inf

import numpy as np
import pytest

from client_sdk.errors import AttributeValueError, MissingGraphError, NoDataError, NoModelError, UntrustedTaskError
from client_sdk.interactions import Kept
from client_sdk.onnx.onnx_engine import OnnxEngine
from client_sdk.personalisation.outcome import Ended, Personalisation
from client_sdk.personalisation.personaliser import KEPT, STEPS, Personaliser
from client_sdk.protocol.drivers import unlimited
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Model, PrivateState, Staged
from client_sdk.protocol.wishes import Interrupted
from client_sdk.store.sqlite_store import SqliteStore
from export.bundle import build
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP
from fedau2.wire import blobs
from tests import plans


def adopt(store, bundle, task_id="task"):
    for data in bundle.blobs.values():
        store.keep_blob(blobs.resource(data), data)
    store.adopt(Model(task_id, bundle.round, bundle.address, bundle.checkpoint))


def personaliser(store, steps=STEPS, trust=None):
    engine = OnnxEngine()
    return Personaliser(store, trust or Trust(), lambda: engine, steps)


def state(store):
    return store.personalised.get("task").state


def served(store):
    return store.personalised.served("task", store.private("task"))


def after(steps):
    """A check that ends the work before a step."""
    left = [inf] * steps

    def check():
        if not left:
            raise Interrupted
        return left.pop()

    return check


@pytest.fixture
def ready(busy, bundle):
    """A store with a model and something to train on."""
    adopt(busy, bundle)
    return busy


def test_steps_move_the_state_that_is_served_and_no_other(ready):
    assert personaliser(ready).personalise(3, unlimited) == Personalisation(3, Ended.DONE)
    assert ready.personalised.get("task").steps == 3
    assert ready.private("task") is None
    assert ready.staged() is None
    assert served(ready).pack() == state(ready).pack()


def test_steps_are_counted_on_and_do_not_depend_on_how_they_are_divided(ready, bundle, tmp_path):
    personaliser(ready).personalise(7, unlimited)
    whole = state(ready).pack()
    with closing(SqliteStore(tmp_path / "other")) as other:
        other.database.write("UPDATE client SET key = ?", (ready.key(),))
        other.record_many([Kept(item, 0) for item in ("film-3", "film-1", "film-9")])
        adopt(other, bundle)
        personaliser(other).personalise(2, unlimited)
        personaliser(other).personalise(5, unlimited)
        assert other.personalised.get("task").steps == 7
        assert state(other).pack() == whole


def test_steps_that_are_ended_early_are_kept(ready):
    assert personaliser(ready).personalise(9, after(2)) == Personalisation(2, Ended.INTERRUPTED)
    assert ready.personalised.get("task").steps == 2
    assert personaliser(ready).personalise(9, after(0)) == Personalisation(0, Ended.INTERRUPTED)
    assert ready.personalised.get("task").steps == 2


KILLED = """
import os, signal, sys
from client_sdk import FedClient
from client_sdk.personalisation.steps import PersonalSteps
step = PersonalSteps.step
def dying(self, number):
    if number == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, number)
PersonalSteps.step = dying
with FedClient.open(sys.argv[1], "localhost:1", "films") as client:
    client.personalise(20)
"""


def test_steps_go_on_after_the_process_was_killed(ready, tmp_path):
    ready.close()
    dies_at = 2 * KEPT + 1
    command = [sys.executable, "-c", KILLED, str(tmp_path / "state"), str(dies_at)]
    assert subprocess.run(command, env=os.environ | {"PYTHONPATH": ":".join(sys.path)}).returncode == -signal.SIGKILL
    with closing(SqliteStore(tmp_path / "state")) as store:
        assert store.personalised.get("task").steps == 2 * KEPT
        assert served(store).steps.tolist() == [2 * KEPT]
        personaliser(store).personalise(1, unlimited)
        assert served(store).steps.tolist() == [2 * KEPT + 1]


def test_errors_say_what_is_missing(store, bundle, bundles):
    with pytest.raises(NoModelError, match="call sync"):
        personaliser(store).personalise(1, unlimited)
    adopt(store, bundle)
    store.record("not listed", 0)
    with pytest.raises(NoDataError, match="lists"):
        personaliser(store).personalise(1, unlimited)
    store.record("film-1", 0)
    store.set_attribute("gender", "X")
    with pytest.raises(AttributeValueError):
        personaliser(store).personalise(1, unlimited)
    with pytest.raises(UntrustedTaskError):
        personaliser(store, trust=_nobody()).personalise(1, unlimited)
    assert store.personalised.get("task").steps == 0


def _nobody():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = Ed25519PrivateKey.generate().public_key()
    return Trust([public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)])


def test_a_task_without_a_training_graph_is_refused(busy, bundle):
    bare = bundle.with_manifest()
    del bare.manifest.graphs[[graph.kind for graph in bare.manifest.graphs].index(GRAPH_KIND_STEP)]
    adopt(busy, bare.with_manifest())
    with pytest.raises(MissingGraphError, match="no training graph"):
        personaliser(busy).personalise(1, unlimited)


def test_a_model_without_private_tensors_needs_no_steps(store):
    items = [f"film-{row}" for row in range(12)]
    vae = build("fedvae", items, plans.make("fedvae", plans.GENDER), 0)
    for data in (vae.manifest.SerializeToString(deterministic=True), *vae.blobs.values()):
        store.keep_blob(blobs.resource(data), data)
    address = blobs.resource(vae.manifest.SerializeToString(deterministic=True))
    store.adopt(Model("task", 0, address, vae.manifest.checkpoint))
    assert personaliser(store).personalise(5, unlimited) == Personalisation(0, Ended.NOTHING_PRIVATE)


def steps_by_itself(personal, store):
    before = store.personalised.get("task").steps
    personal.when_due(unlimited)
    return store.personalised.get("task").steps - before


def test_it_personalises_for_each_model_and_for_enough_records(ready, bundle):
    personal = personaliser(ready, steps=2)
    assert [steps_by_itself(personal, ready) for _ in range(2)] == [2, 0]
    ready.record("film-5", 0)  # of 5 records before
    assert [steps_by_itself(personal, ready) for _ in range(2)] == [2, 0]
    ready.record_many([Kept("film-1", 0)] * 60)
    assert steps_by_itself(personal, ready) == 2
    ready.record("film-6", 0)  # of 66
    assert steps_by_itself(personal, ready) == 0
    adopt(ready, bundle.with_checkpoint(7))
    assert [steps_by_itself(personaliser(ready, steps=2), ready) for _ in range(2)] == [2, 0]


def test_new_records_count_where_they_push_old_ones_out(bundle, tmp_path):
    with closing(SqliteStore(tmp_path / "full", interactions=30)) as full:
        full.record_many([Kept("film-1", time) for time in range(30)])
        adopt(full, bundle)
        personal = personaliser(full, steps=2)
        assert [steps_by_itself(personal, full) for _ in range(2)] == [2, 0]
        for new, taken in ((2, 0), (1, 2), (2, 0)):
            full.record_many([Kept(f"film-{number}", 100) for number in range(new)])
            assert full.recorded() == 30
            assert steps_by_itself(personal, full) == taken


def test_whether_it_is_due_is_decided_without_the_state(ready):
    personal = personaliser(ready, steps=2)
    assert steps_by_itself(personal, ready) == 2
    ready.database.write("UPDATE personalised SET state = ?", (b"cannot be unpacked",))
    assert personal._due() is None
    ready.record("film-5", 0)
    assert personal._due() is not None


def test_by_itself_it_does_nothing_where_it_is_off_or_cannot(store, ready, bundle):
    assert steps_by_itself(personaliser(ready, steps=None), ready) == 0
    ready.set_attribute("gender", "X")
    personal = personaliser(ready)
    assert steps_by_itself(personal, ready) == 0
    ready.set_attribute("gender", "F")
    assert steps_by_itself(personal, ready) == 0, "what failed is not tried again with the same model and records"
    assert steps_by_itself(personaliser(ready), ready) == STEPS


def test_what_was_ended_early_is_due_again(ready):
    personal = personaliser(ready, steps=4)
    personal.when_due(after(1))
    assert steps_by_itself(personal, ready) == 4


def test_the_state_that_was_trained_for_longer_is_served(ready, bundle):
    personaliser(ready).personalise(2, unlimited)
    start = initial_state(bundle.manifest, ready.task_key("task"))
    for steps, is_served in ((1, False), (5, True)):
        promoted = PrivateState(start.values, start.first, start.second, np.array([steps]))
        ready.stage(Staged(bytes([steps]) * 16, "task", steps, b"", promoted))
        ready.promote(bytes([steps]) * 16)
        assert (served(ready).pack() == promoted.pack()) is is_served
