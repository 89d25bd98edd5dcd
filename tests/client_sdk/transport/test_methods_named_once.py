"""A method over gRPC is named by its caller only: the ways to a service take it from the descriptor."""

import re
from pathlib import Path

import pytest

from fedau2.wire.methods import DEVICE

ROOT = Path(__file__).parents[3]
CALLERS = {
    "CheckIn": "client_sdk/protocol/session.py",
    "FetchResource": "client_sdk/protocol/drivers.py",
    "UploadContribution": "client_sdk/protocol/drivers.py",
    "ReportFailure": "client_sdk/protocol/session.py",
}


def modules():
    """The modules of the rooms that call, without the benchmarks, which pick the methods that they measure."""
    for room in ("client_sdk", "simulator"):
        for path in (ROOT / room).rglob("*.py"):
            if "bench" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


@pytest.mark.parametrize("method", list(DEVICE), ids=lambda method: method.name)
def test_a_method_is_named_by_its_caller_only(method):
    names = re.compile(rf"\b{method.name}(Request)?\b|\b(def |\.){method.handler}\b")
    assert [path for path, text in modules() if names.search(text)] == [CALLERS[method.name]]
