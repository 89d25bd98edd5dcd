from hypothesis import given
from hypothesis import strategies as st

from coordinator.metrics.session_traces import SessionTraces
from coordinator.model.effects import Assigned, Expired, Failed, Reported

KEYS = st.binary(min_size=1, max_size=1)


def effect(kind, key):
    return {"a": Assigned(key, 0, 0.0), "+": Reported(key, b""), "f": Failed(key, 0), "x": Expired(key)}[kind]


@given(st.lists(st.tuples(st.sampled_from("a+fxu!"), KEYS), max_size=60))
def test_only_assigned_sessions_are_kept_and_each_ends_once(calls):
    shapes, open_sessions = SessionTraces(), set()
    for letter, key in calls:
        if letter in "u!":
            shapes.step("task", key, letter)
            continue
        ended = shapes.follow("task", effect(letter, key))
        if letter == "a":
            open_sessions.add(key)
            assert ended is None
        else:
            assert ended[0] == ("a" if key in open_sessions else "r")
            assert ended[-1] == letter
            assert len(ended) <= 9
            open_sessions.discard(key)
    assert len(shapes.close("task")) == len(open_sessions)
    shapes.step("task", b"late", "u")
    assert shapes.close("task") == []


def test_sessions_from_before_a_restart_go_on():
    shapes = SessionTraces()
    shapes.resume("task", [b"a", b"b"])
    shapes.step("task", b"a", "u")
    assert shapes.follow("task", effect("+", b"a")) == "ru+"
    assert shapes.close("task") == ["rc"]
