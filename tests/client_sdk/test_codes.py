"""docs/codes.md lists every code, with its texts."""

import re
from pathlib import Path
from typing import get_args

import client_sdk
from client_sdk import errors
from client_sdk.advice import ADVICE
from client_sdk.errors import FedError
from client_sdk.events import Event, Rejected, SyncInterrupted
from client_sdk.reporting.languages import LANGUAGES
from client_sdk.reporting.statements import CODES
from fedau2.v1.device_pb2 import FailureReason, RejectionReason

PAGE = (Path(client_sdk.__file__).parents[1] / "docs/codes.md").read_text("utf-8")
_, ERRORS, EVENTS, STATEMENTS = PAGE.split("\n## ")


def rows(section):
    """The cells of a section's table, without its head."""
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in cells] for cells in lines[1:]]


def test_every_error_has_its_line():
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FedError)}
    assert {tuple(row) for row in rows(ERRORS)} == {
        (f"`{kind.code}`", f"`{kind.__name__}`", ADVICE[kind.code]) for kind in kinds
    }


def test_every_statement_has_its_line():
    assert len(rows(STATEMENTS)) == len(CODES)
    for code, kind, text, *names in rows(STATEMENTS):
        key = code.strip("`")
        assert kind == f"`{CODES[key][0].value}`"
        assert text == LANGUAGES["en"].texts[key][-1]
        assert set(re.findall(r"`(\w+)`", "".join(names))) == CODES[key][1]


def test_every_event_is_named_and_so_is_every_reason():
    assert all(f"`{kind.__name__}`" in EVENTS for kind in get_args(Event))
    assert [row[0].strip("`") for row in rows(EVENTS)] == [
        kind.__name__ for kind in get_args(Event) if hasattr(kind, "code") or "code" in kind.__dataclass_fields__
    ]
    codes = {Rejected(name).code for name, number in RejectionReason.items() if number}
    codes |= {SyncInterrupted(f"FAILURE_REASON_{name}").code for name in ("TOO_SOON", "TOO_SLOW")}
    assert set(FailureReason.keys()) >= {"FAILURE_REASON_TOO_SOON", "FAILURE_REASON_TOO_SLOW"}
    assert all(f"`{code}`" in EVENTS for code in codes)
