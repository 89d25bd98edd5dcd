"""Pages in HTML: what travels is escaped, and a task of each kind has its parts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("jinja2", reason="the extra web is not installed")

from coordinator.dashboard import pages, protection, view
from coordinator.dashboard.view import TaskView
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2 import Round, SecureSumsStatus, Task
from fedau2.v1.task_pb2 import ClosingRule, TaskManifest
from tests.coordinator import hidden

EVIL = "<script>alert('x')</script>\"&"
IDS = ["state", "controls", "charts", "rounds", "facts"]


def a_task(state=admin_pb2.TASK_STATE_RUNNING, **fields):
    return Task(task_id="ab12", population="movies", state=state, rounds=9, closing=ClosingRule(goal=64), **fields)


def shown(task, rounds=(), manifest=None, token="ab"):
    manifest = manifest or TaskManifest()
    hides = manifest.HasField("secure_sums")
    return pages.task(TaskView(task, rounds, protection.settings(task, manifest), hides), None, token)


def test_names_and_errors_are_escaped():
    task = a_task(secure_sums=SecureSumsStatus(last_error=EVIL))
    task.population = EVIL
    for text in (shown(task), pages.tasks([task]), pages.page(EVIL, pages.problem(EVIL), "/live", EVIL)):
        assert "alert" in text
        assert EVIL not in text
        assert "<script>" not in text


def test_every_part_of_a_task_has_its_id_whatever_there_is_to_show():
    for text in (shown(a_task()), shown(a_task(admin_pb2.TASK_STATE_STOPPED), [Round(reported=3)])):
        assert re.findall(r'^<(?:section|div) id="(\w+)"', text, re.MULTILINE) == IDS
        ids = re.findall(r' id="([^"]+)"', text)
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("state", "token", "labels"),
    [
        (admin_pb2.TASK_STATE_RUNNING, "ab", ["Pause", "Stop…"]),
        (admin_pb2.TASK_STATE_PAUSED, "ab", ["Start again", "Stop…"]),
        (admin_pb2.TASK_STATE_FINISHED, "ab", []),
        (admin_pb2.TASK_STATE_STOPPED, "ab", []),
        (admin_pb2.TASK_STATE_RUNNING, "", []),
    ],
)
def test_buttons_are_those_that_can_be_used(state, token, labels):
    text = shown(a_task(state), token=token)
    assert [label for label in ("Pause", "Start again", "Stop…") if f">{label}<" in text] == labels


def test_the_health_of_secure_sums():
    task = a_task(round=2, secure_sums=SecureSumsStatus(last_error="the unmasker is away", refused=1))
    task.secure_sums.opening_since.FromSeconds(1_800_000_000)
    rounds = [
        Round(round=0, state=admin_pb2.ROUND_STATE_COMMITTED, reported=64, refused=2),
        Round(round=1, state=admin_pb2.ROUND_STATE_SKIPPED, reported=64),
        Round(round=2, state=admin_pb2.ROUND_STATE_OPENING, reported=64, refused=1),
    ]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", shown(task, rounds, hidden.bundle().manifest)))
    for sentence in (
        "opened 1 skipped 1 contributions refused 3",
        "waits for the sum since (UTC) 2027-01-15 08:00:00",
        "the unmasker is away",
        "The norms of single contributions are not known.",
        "Row threshold 10 devices ✓ yes",
    ):
        assert sentence in text
    unkeyed = shown(a_task(secure_sums=SecureSumsStatus()), rounds, hidden.bundle().manifest)
    assert "waits for its key" in unkeyed


@given(st.integers(0, 10**18))
def test_a_size_is_short_and_has_a_unit(number):
    digits, unit = view.size(number).split()
    assert len(digits) <= 9
    power = ["bytes", "kB", "MB", "GB", "TB"].index(unit)
    assert float(digits) * 1000**power == pytest.approx(number, rel=0.06)


@given(st.floats(0, 1e9))
def test_a_time_is_written_with_the_unit_that_fits(seconds):
    past = Round()
    past.opened.FromSeconds(1000)
    assert view.lasted(past) == ""
    past.committed.FromMicroseconds(int((1000 + seconds) * 1e6))
    number, unit = view.lasted(past).split()
    length = {"s": 1, "min": 60, "h": 3600, "d": 86400}[unit]
    assert float(number) * length == pytest.approx(seconds, rel=0.05, abs=0.06)
