"""Tables for the terminal, and what stands below them."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from simulator.reproduce import lead, table
from simulator.reproduce.results import metrics_of, summarise

LEAKS = ("leak_dlg", "leak_embedding_error", "leak_analytic", "leak_analytic_5", "leak_analytic_20")
TRIGGER = "plan.adversary.trigger"
METRICS = ("ndcg@10", "hr@10", "ndcg@10_full", "round", "bacc_paper", "bacc_strong_all", *LEAKS, "loss_std")


def runs(**more):
    rng = np.random.default_rng(0)
    rows = [
        {
            **{"model": "fedncf", "dataset": "own[/x]", "attribute": "[red]a", "status": "done", "error": ""},
            **{"run": f"{method}-{seed}", "method": method, "original": f"original-{seed}", TRIGGER: "sut"},
            **{
                "plan.adversary.pretrain_rounds": 50,
                **{name: rng.random() / 1000 for name in METRICS},
                "round": 50.0 + seed,
            },
            **{"bacc_null_p95_paper": 0.5, "bacc_null_p95_strong_all": 0.5},
        }
        for method in ("original", "pretrain-50", "epsilon-1600-lambda-16")
        for seed in range(3)
    ]
    return pd.DataFrame(rows).assign(**more)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_number_is_broken_and_every_metric_is_there(width):
    frame = runs(**{"ndcg@10_users_p": 0.01, "trigger_rate_x[/y]": 0.25})
    metrics = metrics_of(frame, [*METRICS, "trigger_rate_"])
    summary = summarise(frame, metrics)
    ((title, part),) = table.groups(summary)
    console = Console(width=width, file=io.StringIO())
    tables = list(table.terminal(title, part, metrics, console.width))
    console.print(*tables, sep="\n")
    text = console.file.getvalue()
    assert "fedncf, own[/x], [red]a" in text
    assert "x[/y]" in text
    assert "…" not in text
    for _, row in part.iterrows():
        expected = [cell for cell in table.cells(row, table.columns(metrics)) if cell]
        lines = [line for line in text.splitlines() if line.split()[:1] == [row["method"]]]
        assert len(lines) == len(tables)
        assert all(any(f" {cell} " in f"{line} " for line in lines) for cell in expected)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    words = {word for name, _ in table.columns(metrics) for word in name.split()}
    assert words <= set(text.split())


def test_only_attacks_have_nulls():
    summary = summarise(runs(), ["ndcg@10", "bacc_paper"])
    assert [name for name in summary if name.endswith("_null")] == ["bacc_paper_null"]


@pytest.mark.parametrize(("trigger", "early"), [("pretrain", ["pretrain-50"]), ("global", [])])
def test_who_was_chosen_before_unlearning_began_is_told(trigger, early):
    frame = runs()
    frame.loc[frame["method"].isin(["pretrain-50", "epsilon-1600-lambda-16"]), TRIGGER] = trigger
    frame.loc[frame["method"] == "pretrain-50", "round"] = [25.0, 75.0, np.nan]
    notes = table.notes(frame)
    assert notes[0] == table.NOTE
    assert [re.findall(r"a, ([\w-]+)", note) for note in notes[1:]] == ([early] if early else [])


def largest(**successes):
    """Runs of methods, of which the largest family reads so much."""
    frame = runs()
    frame["bacc_largest"] = frame["method"].map(successes) + 0.001 * frame.index
    return frame.assign(bacc_null_p95_largest=0.55, bacc_null_mean_largest=0.53)


@pytest.mark.parametrize(
    ("epsilon", "says"),
    [
        (0.7, "Of epsilon-1600-lambda-16 it reads more than of the Original"),
        (0.61, "From no method it reads less or more than from the Original"),
        (0.5, "Of epsilon-1600-lambda-16 it reads less than of the Original"),
    ],
)
def test_the_lead_and_the_notes_say_that_methods_differ_only_beyond_the_spread(epsilon, says):
    frame = largest(**{"original": 0.6, "pretrain-50": 0.605, "epsilon-1600-lambda-16": epsilon})
    text = " ".join(lead.sentences(summarise(frame, ["ndcg@10", "bacc_largest"]), frame))
    assert says in text
    assert "pretrain-50 it" not in text
    assert f"from {int(epsilon < 0.55)} of 2 other methods" in text
    assert any("more readable" in note for note in table.notes(frame)) is (epsilon == 0.7)
