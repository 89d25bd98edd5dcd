"""Lines of JSON: what is in them, and that nothing else can be."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedau2 import logs

SECRET = "an-unmistakable-secret"


class RefusedError(Exception):
    pass


@pytest.fixture
def root():
    """The root logger with one handler, whose lines are returned by a function."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, root.handlers = root.handlers, [logging.StreamHandler(stream)]
    yield lambda: stream.getvalue().splitlines()
    root.handlers = handlers


def raised(error):
    try:
        raise error from ValueError(SECRET)
    except Exception as caught:
        return type(caught), caught, caught.__traceback__


def test_a_line_is_an_object_with_time_level_logger_and_message(root):
    logs.use("json")
    logging.getLogger("coordinator.engine").error("task %s: %s", "t", "late")
    (line,) = map(json.loads, root())
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "ERROR", "logger": "coordinator.engine", "message": "task t: late"}


def test_text_stays_as_it_is(root):
    logs.use("text")
    logging.getLogger("coordinator").error("late")
    assert root() == ["late"]


@given(st.text(), st.text())
def test_any_message_is_one_line_of_ascii(first, second):
    record = logging.LogRecord("a", logging.INFO, "", 1, "%s", (f"{first}\n{second}",), None)
    line = logs.JsonLines().format(record)
    assert line.isascii()
    assert "\n" not in line
    assert "\r" not in line
    assert json.loads(line)["message"] == first.partition("\n")[0]


@given(st.sampled_from([RefusedError, OSError, KeyError]), st.text(max_size=20))
def test_of_an_exception_there_are_its_type_and_places_only(kind, text):
    line = json.loads(written_with(raised(kind(text + SECRET))))
    assert line["exception"].endswith(kind.__qualname__)
    assert line["trace"][-1].startswith("tests/proto/test_logs.py:")
    assert line["trace"][-1].endswith(" raised")
    assert SECRET not in json.dumps(line)


def written_with(exc_info):
    record = logging.LogRecord("a", logging.ERROR, "", 1, "a call failed", (), exc_info)
    record.stack_info = record.exc_text = record.attribute = SECRET  # as libraries and `extra` attach them
    return logs.JsonLines().format(record)


def test_what_asyncio_says_of_a_lost_error_is_cut(root):
    logs.use("json")
    text = f"Task exception was never retrieved\nfuture: <Task exception=ValueError({SECRET!r})>"
    logging.getLogger("asyncio").error(text, exc_info=raised(RefusedError(SECRET)))
    (line,) = root()
    assert json.loads(line)["message"] == "Task exception was never retrieved"
    assert SECRET not in line
