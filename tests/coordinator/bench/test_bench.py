"""The benchmarks on real processes, with a handful of calls: what they count, not how fast it is."""

import json
from dataclasses import replace

import pytest

from coordinator.bench import replicas, slow_phones, uploads
from coordinator.bench.processes import Child, CoordinatorServer
from coordinator.bench.workload import PAPER, SMALL
from coordinator.cli import main
from coordinator.errors import BenchError

UPLOADS = uploads.Effort(turns=1, uploads=((SMALL, 70), (PAPER, 3)), held=(2, 5))
SLOW_PHONES = slow_phones.Effort(phones=60, piece=8000, pause=0.05, probes=5, every=0.01)


def test_uploads_are_compared(monkeypatch, capsys):
    monkeypatch.setattr(uploads, "QUICK", UPLOADS)
    assert main(["bench", "uploads", "--quick", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    for each, (model, size) in zip(report["comparisons"], (("small", 20_000), ("paper", 226_000)), strict=True):
        assert each["model"] == model
        assert each["size"] == pytest.approx(size, rel=0.01)
        assert [len(each[kind]) for kind in ("check_ins", "durable", "bare")] == [1, 1, 1]
        assert all(0 < turn["median"] <= turn["p99"] for turn in (*each["durable"], *each["bare"]))
    assert list(report["memory"]) == ["2", "5"]


@pytest.mark.slow
def test_several_coordinators_are_compared(monkeypatch, capsys, postgres_url):
    monkeypatch.setattr(replicas, "QUICK", replicas.Effort(turns=1, uploads=((SMALL, 5),)))
    assert main(["bench", "replicas", "--quick", "--database", postgres_url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:10].strip() for line in lines[2:]] == ["20 KB", "SQLite", "1 on Postg", "2 on Postg", "3 on Postg"]


def test_slow_phones_are_all_heard(monkeypatch, capsys):
    monkeypatch.setattr(slow_phones, "QUICK", SLOW_PHONES)
    assert main(["bench", "slow-phones", "--quick"]) == 0
    assert "beside 60 slow uploads" in capsys.readouterr().out


def test_what_was_acknowledged_but_not_counted_is_found():
    with CoordinatorServer() as server:
        task_id = server.create_task(SMALL)
        server.expect(task_id, 0)
        with pytest.raises(BenchError, match="1 contributions were acknowledged, but 0 were counted"):
            server.expect(task_id, 1)


def test_a_child_that_ends_is_told():
    with Child("coordinator.errors") as child, pytest.raises(BenchError, match=r"coordinator\.errors has ended"):
        child.line()


def turn(cpu):
    return uploads.Turn(cpu=cpu, rate=1.0, median=1.0, p99=1.0)


def test_ratios_are_taken_turn_by_turn():
    durable, bare = [turn(1000.0), turn(800.0)], [turn(500.0), turn(600.0)]
    comparison = uploads.Comparison("small", 20_000, [turn(1.0)] * 2, durable, bare)
    assert comparison.ratios() == [0.5, 0.75]
    table = uploads.table(uploads.Report([comparison], {100: 80.0}))
    assert "durable over bare: 0.62 (0.50-0.75)" in table
    assert uploads.Turn.median_of(durable) == replace(turn(1.0), cpu=900.0)
