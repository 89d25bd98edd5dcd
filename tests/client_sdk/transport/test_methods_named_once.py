"""A method over gRPC is named by its caller and its handler only: all between them take it from the descriptor."""

import re
from pathlib import Path

import pytest

from fedau2.wire.methods import DEVICE

ROOT = Path(__file__).parents[3]
CALLERS = {
    "CheckIn": ["client_sdk/protocol/membership.py"],
    "Admit": ["client_sdk/protocol/admittance.py", "client_sdk/protocol/membership.py"],
    "FetchResource": ["client_sdk/protocol/transfers.py"],
    "UploadContribution": ["client_sdk/protocol/drivers.py", "client_sdk/protocol/transfers.py"],
    "UploadPart": [],  # for devices that cannot stream
    "UploadOffset": ["client_sdk/protocol/contributing.py"],
    "ReportFailure": ["client_sdk/protocol/session.py"],
}

SHARED = {"FetchResource": ("admin_service.py", "blob_reader.py"), "Admit": ("admissions.py",)}
"""Methods with the other modules that handle them: both services have the first, the second has rules of its own."""


def modules():
    """The modules of the rooms that call, without the benchmarks, which pick the methods that they measure."""
    for room in ("client_sdk", "simulator"):
        for path in (ROOT / room).rglob("*.py"):
            if "bench" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


@pytest.mark.parametrize("method", list(DEVICE), ids=lambda method: method.name)
def test_a_method_is_named_by_its_caller_only(method):
    names = re.compile(rf"\b{method.name}(Request)?\b|\b(def |\.){method.handler}\b")
    assert [path for path, text in modules() if names.search(text)] == CALLERS[method.name]


@pytest.mark.parametrize("method", list(DEVICE), ids=lambda method: method.name)
def test_a_method_is_named_by_its_handler_only(method):
    definition = re.compile(rf"\bdef {method.handler}\(")
    engine = (ROOT / "coordinator/engine").glob("*.py")
    handlers = {path.name for path in engine if definition.search(path.read_text("utf-8"))}
    assert handlers == {"device_service.py", *SHARED.get(method.name, ())}
    names = re.compile(rf"\b{method.name}Request\b|\b(def |\.){method.handler}\b")
    servers = [path for room in ("grpc", "web") for path in (ROOT / "coordinator" / room).glob("*.py")]
    assert not [path.name for path in servers if names.search(path.read_text("utf-8"))]
