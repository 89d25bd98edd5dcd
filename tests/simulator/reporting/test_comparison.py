"""Several runs side by side."""

import io

from rich.console import Console

from simulator.reporting import comparison
from simulator.reporting.comparison import Beside
from tests.simulator.settings import make


def run(ndcg, bacc, null=0.55, **settings):
    figures = {"round": 5, "users": 300, "items": 200, "hr@10": 2 * ndcg, "ndcg@10": ndcg, "configuration": {}}
    state = {f"{name}_{key}": value for key in ("paper", "strong") for name, value in _state(bacc, null)}
    return Beside(make(**settings), figures | state | {"intervals": {"ndcg@10": [0.1, 0.4]}}, "it/report.html")


def _state(bacc, null):
    return ("bacc", bacc), ("bacc_null_p95", null), ("bacc_null_mean", null - 0.02)


RUNS = {
    "Original": run(0.30, 0.70, head="none"),
    "FedAU2": run(0.28, 0.60),
    "quiet": run(0.29, 0.54),
    "silent": run(0.10, 0.50, engine="fleet", sums="secure"),
}


def test_the_best_is_marked_and_never_the_worst():
    assert comparison.best(RUNS) == {(0, 2), (0, 3), (2, 5), (3, 5)}  # both leak no more than chance
    assert comparison.best({"a": RUNS["quiet"], "b": RUNS["quiet"]}) == set()
    read = Beside(
        RUNS["quiet"].config, RUNS["quiet"].metrics | {"bacc_map_gaps": 1.0, "bacc_null_p95_map_gaps": 0.5}, ""
    )
    whole = {"read": read, "FedAU2": RUNS["FedAU2"]}
    assert not {(0, 5), (1, 5)} & comparison.best(whole)  # whoever holds the map reads all, and its spread is not known
    whole["read"].metrics["bacc_null_mean_map_gaps"] = 0.49
    assert (1, 5) in comparison.best(whole)
    assert "1.000 (0.500)" in comparison.rows(whole)[0]
    missing = Beside(make(), RUNS["silent"].metrics | {"attacks": {"asked": ["strong"], "missing": ["strong"]}}, "")
    assert all(column != 5 for _, column in comparison.best(RUNS | {"b": missing}))
    unknown = Beside(make(), {"hr@10": 0.1, "ndcg@10": 0.1}, "")
    assert {column for _, column in comparison.best(RUNS | {"b": unknown})} == {2, 3}


def test_all_runs_are_in_one_table_of_the_terminal_and_in_the_report(tmp_path):
    console = Console(width=150, file=io.StringIO())
    console.print(comparison.table("it [b]", RUNS))
    text = console.file.getvalue()
    comparison.write(tmp_path, "it <b>", RUNS, "Original", 0.5)
    page = (tmp_path / "report.html").read_text()
    for name in RUNS:
        assert name in text
        assert f"<td>{name}</td>" in page
        assert f'<a href="it/report.html">{name}</a>' in page
    assert "it [b]" in text
    assert text.count("★") == page.count('class="best"') == 4
    assert "0.700 (0.550)" in text


def test_the_paragraph_says_what_the_original_leaks_and_whether_the_others_leak_less():
    text = comparison.summary(RUNS, "Original")
    assert "FedNCF was trained on ml-100k (300 users, 200 items) in 4 ways" in text
    assert "reads gender with 0.700 beside a null of 0.550." in text
    who = "the paper's attacker on the embedding"
    assert f"FedAU2 has 7% less NDCG@10 and leaks less: {who} reads 0.600 beside 0.550." in text
    assert f"quiet has 3% less NDCG@10 and leaks less, no more than chance: {who} reads 0.540 beside 0.550." in text
    worse = comparison.summary({"Original": RUNS["quiet"], "it": RUNS["FedAU2"]}, "Original")
    assert f"it has 3% less NDCG@10 and leaks more: {who} reads 0.600 beside 0.550." in worse
    alike = comparison.summary({"Original": RUNS["quiet"], "it": run(0.3, 0.552)}, "Original")
    assert "leaks as much, as far as the attacks can tell: " in alike
