"""The tables of docs/results are what a command prints of the runs."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[3] / "scripts/results_table.py"


ATTACKED = {
    **{"bacc_strong": 0.7, "bacc_largest": 0.7, "auc_largest": 0.75, "bacc_paper": 0.6},
    **{"bacc_null_p95_largest": 0.54, "auc_null_p95_largest": 0.76, "bacc_null_p95_paper": 0.62},
}


def run(method, seed, ndcg, original=None, **more):
    name = f"{method}-{seed}"
    about = {"run": name, "method": method, "original": original, "status": "done", "seed": seed, "seconds": 1.0}
    where = {"model": "fedvae", "dataset": "ml-100k", "attribute": "gender"}
    attacked = ATTACKED | {"bacc_strong_all": more.get("bacc_strong", ATTACKED["bacc_strong"])}
    return about | where | attacked | {"ndcg@10": ndcg, "hr@10": 0.5} | more


def printed(folder, rows):
    pd.DataFrame(rows).to_parquet(folder / "results.parquet")
    done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith("| `")]


def test_means_are_of_the_seeds_that_finished_and_changes_of_their_originals(tmp_path):
    leaks = {"leak_dlg": 0.59, "leak_analytic": 0.75, "leak_analytic_5": 0.9, "leak_analytic_20": 0.98}
    rows = [
        run("original", 0, 0.3),
        run("original", 1, 0.5),
        run("paper", 1, 0.45, "original-1", bacc_largest=0.8, **leaks),
        run("paper", 0, 0.1, "original-0") | {"status": "failed"},
        run("noise", 0, 0.2, "original-0", bacc_largest=0.8),
        run("noise", 1, 0.3, "original-1", bacc_largest=0.6),
    ]
    auc, paper = "0.750 ± 0.000 (0.760)", "0.600 ± 0.000 (0.620)"
    assert printed(tmp_path, rows) == [
        "| `original` | 0, 1 | 0.400 (0.300, 0.500) |  |  | "
        f"0.500 ± 0.000 | **0.700 ± 0.000** (0.540) | {auc} | {paper} |",
        "| `paper` | 1 | 0.450 (0.450) | -10.0% |  | 0.500 | **0.800** (0.540) | 0.750 (0.760) | 0.600 (0.620) |",
        "| `noise` | 0, 1 | 0.250 (0.200, 0.300) | -37.5% | 0.205 | "
        f"0.500 ± 0.000 | **0.700 ± 0.141** (0.540) | {auc} | {paper} |",
        "| `paper` | 0.59 | 0.75 | 0.90 | 0.98 |",
    ]


def test_all_private_state_is_shown_where_it_is_more_than_what_is_attacked_anyway(tmp_path):
    everything = {f"{name}_all": value for name, value in ATTACKED.items()} | {"bacc_strong_all": 0.66}
    (line,) = printed(tmp_path, [run("original", 0, 0.3, **everything | {"auc_largest_all": 0.77})])
    figures = "0.750 (0.760) | 0.600 (0.620) | **0.700** (0.540) | **0.770** (0.760) | 0.600 (0.620) |"
    assert line == f"| `original` | 0 | 0.300 (0.300) |  |  | 0.500 | **0.700** (0.540) | {figures}"


def test_attributes_that_one_run_unlearns_have_a_table_each(tmp_path):
    further = {f"age/{name}": value / 2 for name, value in (ATTACKED | {"bacc_strong_all": 0.7}).items()}
    first, second = printed(tmp_path, [run("paper", 0, 0.3, attribute="gender,age", **further)])
    assert first.endswith("| **0.700** (0.540) | 0.750 (0.760) | 0.600 (0.620) |")
    assert second.endswith("| **0.350** (0.270) | 0.375 (0.380) | 0.300 (0.310) |")


@pytest.mark.parametrize("name", ["nothing", "."])
def test_a_folder_without_results_is_told(tmp_path, name):
    done = subprocess.run([sys.executable, SCRIPT, tmp_path / name], capture_output=True, text=True)
    assert done.returncode == 1
    assert "holds no results.parquet" in done.stderr
