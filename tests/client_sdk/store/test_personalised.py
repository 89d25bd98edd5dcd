import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client_sdk.errors import StoreError
from client_sdk.protocol.values import PrivateState
from client_sdk.store.lineage import TASKS
from client_sdk.store.personalised import Personalised

names = st.lists(st.text(min_size=1, max_size=4), unique=True).map(tuple)


def state(value=0.0):
    return PrivateState.start({"user": np.full((1, 3), value, np.float32)}, 1)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 2**40), st.floats(-1, 1, width=32), names, st.binary(max_size=32), st.integers(0, 10**6))
def test_what_is_kept_is_read_again(store, steps, value, attributes, checkpoint, recorded):
    kept = Personalised(steps, state(value), attributes, checkpoint, recorded)
    store.personalised.keep("task", kept)
    read = store.personalised.get("task")
    assert (read.steps, read.attributes, read.checkpoint, read.recorded) == (steps, attributes, checkpoint, recorded)
    assert read.state.pack() == kept.state.pack()
    assert store.personalised.tasks() == ("task",)
    assert all(store.personalised.trained_with(name) for name in attributes)


def test_the_states_of_the_newest_tasks_are_kept_and_all_numbers_of_steps(store):
    for number in range(TASKS + 2):
        store.personalised.keep(f"task-{number}", Personalised(number + 1, state(), ("gender",)))
    assert store.personalised.tasks() == tuple(sorted(f"task-{number}" for number in range(2, TASKS + 2)))
    assert [store.personalised.get(f"task-{number}").steps for number in range(TASKS + 2)] == list(range(1, TASKS + 3))


def test_a_damaged_state_is_an_error(store):
    store.personalised.keep("task", Personalised(1, state()))
    store.database.write("UPDATE personalised SET state = ?", (b"nothing",))
    with pytest.raises(StoreError, match="damaged"):
        store.personalised.get("task")
