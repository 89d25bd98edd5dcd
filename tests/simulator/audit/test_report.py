"""Plain words say who learns what, how soon, and whether it is more than chance."""

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from fedau2.v1.task_pb2 import Plan
from simulator.audit import report
from simulator.audit.audit import Audit
from simulator.audit.request import Request
from simulator.audit.runner import Finding
from simulator.audit.scores import Score
from tests.simulator.settings import make


def finding(attack, learns, participations, success, low, null_p95=0.54, adversary="gender"):
    score = Score(success, low, min(1.0, 2 * success - low), 0.5, 0.5, null_p95, 100)
    return Finding(attack, learns, adversary, participations, score, 1.0)


def audit(*findings):
    return Audit(Request(make(), Path(), None, []), Plan(), findings, 0.3, 200, 1000.0, 60.0)


def test_the_best_attack_is_told_once_and_after_more():
    told = report.summary(
        audit(
            finding("dlg", "label", 1, 0.55, 0.5),
            finding("magnitude", "label", 1, 0.76, 0.7),
            finding("magnitude", "label", 20, 0.99, 0.97),
            finding("sign", "label", 20, 0.98, 0.96),
        )
    )
    assert told == [
        "The server finds gender of 76% of the clients, classes weighed alike (guessing: 50%), after one "
        "contribution, by the attack magnitude.",
        "The server finds gender of 99% of the clients, classes weighed alike (guessing: 50%), after 20 "
        "contributions, by the attack magnitude.",
    ]


def test_who_attacks_is_told_apart():
    told = report.summary(
        audit(
            finding("magnitude", "label", 1, 0.76, 0.7),
            finding("sums-94", "label", 10, 0.6, 0.57),
            finding("private-all-strong", "label, learning from users", 0, 0.65, 0.6),
        )
    )
    assert [text.split(" finds")[0] for text in told] == [
        "The server",
        "Behind secure sums the server",
        "A thief of the private state",
    ]


def test_chance_is_called_chance():
    (text,) = report.summary(audit(finding("dlg", "label", 1, 0.53, 0.48)))
    assert text.endswith("This is no more than chance gives.")


@pytest.mark.parametrize(
    ("success", "low", "null_p95", "doubt"),
    [
        (1.0, 0.722, 0.8, "Too few clients to be sure."),
        (0.6, 0.54, 0.54, "Too few clients to be sure."),
        (0.54, 0.5, 0.54, "This is no more than chance gives."),
        (0.6, 0.55, 0.54, "by the attack dlg."),
    ],
)
def test_what_is_above_chance_is_not_called_chance_for_want_of_clients(success, low, null_p95, doubt):
    (text,) = report.summary(audit(finding("dlg", "label", 1, success, low, null_p95)))
    assert text.endswith(doubt)


def test_nothing_found_is_nothing_told():
    assert report.summary(audit()) == []


def test_a_plot_is_drawn_of_whatever_there_is(tmp_path):
    for number, findings in enumerate(([], [finding("rows", "items touched", 1, 1.0, 0.9, adversary="")])):
        path = tmp_path / f"{number}.png"
        report.draw(findings, path)
        assert path.read_bytes().startswith(b"\x89PNG")


def test_no_panel_is_empty(drawn, tmp_path):
    label, rows = finding("dlg", "label", 1, 1.0, 0.9), finding("rows", "items touched", 1, 1.0, 0.9, adversary="")
    for findings in ([label], [rows], [label, rows]):
        report.draw(findings, tmp_path / "audit.png")
    titles = [[axes.get_title() for axes in figure.axes] for figure in drawn]
    assert titles == [["attribute"], ["state, gate and items"], ["attribute", "state, gate and items"]]


def test_names_are_no_markup():
    found = audit(finding("dlg", "label", 1, 1.0, 0.9, adversary="b[/x]"))
    found = dataclasses.replace(found, request=Request(make(attributes=["[red]a", "b[/x]"]), Path(), None, []))
    console = Console(width=120, file=io.StringIO())
    console.print(report.table(found))
    assert "[red]a, b[/x]:" in console.file.getvalue()
    assert " b[/x] " in console.file.getvalue()
