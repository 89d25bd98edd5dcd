"""The examples in the docstrings of everything that a room exports run, each in a folder of its own."""

import doctest
import sys
import types
from importlib import import_module

import pytest

ROOMS = ("client_sdk", "coordinator", "export", "simulator", "fedau2.wire")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules_behind(room):
    """The room itself, and the modules that define what it exports."""
    package = import_module(room)
    exported = [getattr(package, name) for name in getattr(package, "__all__", ())]
    names = [room, *(getattr(value, "__module__", room) for value in exported)]
    return [sys.modules[name] for name in dict.fromkeys(names) if name.partition(".")[0] == room.partition(".")[0]]


def examples_in(module):
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


def run(example):
    report = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(example, out=report.append)
    assert not result.failed, "".join(report)


EXAMPLES = [example for room in ROOMS for module in modules_behind(room) for example in examples_in(module)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_runs(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(example)


def test_a_wrong_example_fails():
    module = types.ModuleType("module", doc="A sum.\n\n>>> 1 + 1\n3\n")
    (example,) = examples_in(module)
    with pytest.raises(AssertionError, match=r"Expected:\s+3\s+Got:\s+2"):
        run(example)


def test_modules_behind_a_room_define_its_exports():
    names = {module.__name__ for module in modules_behind("client_sdk")}
    assert {"client_sdk", "client_sdk.client", "client_sdk.errors", "client_sdk.status"} <= names
