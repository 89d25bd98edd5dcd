"""The examples in the docstrings of the SDK's face run and show what the SDK gives."""

import doctest
from importlib import import_module

import pytest

MODULES = [
    "aio",
    "client",
    "subscriptions",
    "reporting.report",
    "reporting.statements",
    "protocol.wishes",
    "scheduling.schedule",
    "status",
    "store.departures",
    "testing.local_coordinator",
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    results = doctest.testmod(import_module(f"client_sdk.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
