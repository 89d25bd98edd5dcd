"""Honest devices among callers who mean no good, in small: all finish, and the coordinator's memory has a bound."""

import json

import pytest

from coordinator.bench import siege
from coordinator.cli import main

SMALL = siege.Effort(idle=600, stalled=60, wrong=40, addresses=(1, 2), devices=5)
KINDS = ("600 idle connections", "60 stalled uploads", "40 wrong credentials/s")


@pytest.mark.slow
def test_honest_devices_finish_and_memory_is_bounded(monkeypatch, capsys):
    monkeypatch.setattr(siege, "QUICK", SMALL)
    assert main(["bench", "siege", "--quick", "--json"]) == 0
    before, *phases, after = json.loads(capsys.readouterr().out)["phases"]
    names = [f"{kind}, {source}" for source in ("one address", "2 addresses") for kind in KINDS]
    assert [phase["name"] for phase in phases] == names
    for phase in (before, *phases, after):
        assert (phase["finished"], phase["failed"]) == (5, 0), phase
        assert phase["memory"] < before["memory"] + 200
    assert phases[3]["files"] >= 600, "two addresses may have as many connections"
