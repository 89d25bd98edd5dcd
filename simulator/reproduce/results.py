"""Results of a grid: one row per run, and summaries over seeds."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from export.plan import fragments
from simulator.config import flags
from simulator.config.config import Config
from simulator.errors import ConfigError
from simulator.evaluation import ranking, statistics
from simulator.reporting import attacked, frames
from simulator.reporting.groups import GROUPS
from simulator.reproduce.grid import Cell

GROUP = ["model", "dataset", "attribute"]
"""Columns that are equal in all rows of a table."""

LAST_ROUNDS = 50
"""Rounds over which `loss_std`, the standard deviation of the training loss from round to round, is taken."""


def finished(cell: Cell, folder: Path) -> dict[str, Any] | None:
    """Returns the metrics of a run that was finished with the cell's configuration, else None.

    Raises:
        ConfigError: its metrics are damaged, or of another configuration.
    """
    path = folder / cell.name / "metrics.json"
    if not path.exists():
        return None
    try:
        metrics: dict[str, Any] = json.loads(path.read_text("utf-8"))
        same = not cell.config.differences(metrics["configuration"])
        attacks = metrics.get(attacked.MARK, {})
        whole = not attacked.missing(metrics) and attacks.get("kind", "full") == "full"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is damaged: remove the folder, and it is run again") from error
    if not same:
        raise ConfigError(f"{path} is of another configuration: choose another --out, or remove the folder")
    return metrics if whole else None  # a run that was not attacked in full is done again


def collect(
    cells: Sequence[Cell], metrics: Mapping[str, Mapping[str, Any]], errors: Mapping[str, str], folder: Path
) -> pd.DataFrame:
    """Returns one row per cell, in the grid's order: method, settings, metrics, and the comparison over users.

    Args:
        cells: of the grid.
        metrics: of the runs that succeeded, by name of the run.
        errors: of those that did not.
        folder: with the run folders.

    Returns:
        `status` is `done` or `failed`, `error` why; metrics of a failed run are NaN. `ndcg@10_users_*` are those of
        `statistics.Comparison` with the Original of the same seed.
    """
    rows = []
    for cell in cells:
        row = {
            "run": cell.name,
            "method": cell.method,
            "original": cell.original,
            "status": "failed" if cell.name in errors else "done",
            "error": errors.get(cell.name, ""),
            **_settings(cell.config),
        }
        if cell.name in metrics:
            figures = {
                name: value
                for name, value in metrics[cell.name].items()
                if name not in ("configuration", attacked.MARK, GROUPS, "intervals")
            }
            row |= dict(flat(figures)) | {"loss_std": _loss_std(folder / cell.name)}
        if cell.name in metrics and cell.original in metrics:
            row |= _over_users(folder / cell.name, folder / cell.original)
        rows.append(row)
    return _of_one_type(pd.DataFrame(rows))


def _of_one_type(frame: pd.DataFrame) -> pd.DataFrame:
    """Writes the numbers of a column as text if it has text too: a setting may be a number of one recommender alone."""
    for name in frame.columns:
        known = frame[name].notna()
        if len({isinstance(value, str) for value in frame.loc[known, name]}) > 1:
            frame.loc[known, name] = frame.loc[known, name].map(str)
    return frame


def _settings(config: Config) -> dict[str, Any]:
    """Returns the group, the seed, and each setting by its dotted path; lists as flags take them."""
    settings = {
        path: flags.written(value) if isinstance(value, list) else value
        for path, value in fragments.flat(config.document())
    }
    group = (config.plan.model.name, config.data.dataset, settings["data.attributes"])
    return {**dict(zip(GROUP, group, strict=True)), "seed": config.engine.seed, **settings}


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Names and plain values: nested names are joined by `_`, lists are written as JSON."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", json.dumps(value) if isinstance(value, list) else value


def _loss_std(folder: Path) -> float:
    return float(frames.read(folder / "rounds.parquet", ["loss"])["loss"].tail(LAST_ROUNDS).std())


def _over_users(folder: Path, original: Path) -> dict[str, float]:
    paths = [run / "ranks.parquet" for run in (folder, original)]
    if not all(path.exists() for path in paths):
        return {}  # runs of a version that did not write them
    ours, theirs = (ranking.gains(frames.read(path)["rank"].to_numpy(), 10) for path in paths)
    compared = statistics.over_users(ours, theirs)
    names = {"difference": compared.mean, "low": compared.low, "high": compared.high, "p": compared.p}
    return {f"ndcg@10_users_{name}": value for name, value in names.items()}


def metrics_of(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Returns the metrics of these names that the frame has; a name that ends in `_` is a prefix."""
    numbers = frame.select_dtypes("number").columns
    return [
        column
        for name in names
        for column in ([number for number in numbers if number.startswith(name)] if name.endswith("_") else [name])
        if column in numbers
    ]


def shown_in(summary: pd.DataFrame) -> list[str]:
    """Returns the metrics that a summary was made of."""
    return [name for name in map(str, summary.columns) if f"{name}_std" in summary.columns]


def null_of(metric: str) -> str:
    """Returns the column with the 95th percentile of an attack's own null; other metrics have no such column."""
    measure, _, attack = metric.partition("_")
    return f"{measure}_null_p95_{attack}"


def summarise(frame: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Summarises each method of each group over its seeds, in a row.

    Args:
        frame: from `collect`.
        metrics: columns of it.

    Returns:
        `runs` and `failed` count runs. A metric has its mean, `_std` (n - 1), `_change` (mean paired difference to the
        Original), `_relative` (the same as a share of these Originals' mean) and `_p` (paired t over seeds). An attack
        also has `_null`, the mean of its own nulls' 95th percentiles. `compared` counts the runs that could be compared
        over users, and `users` those whose NDCG@10 differs (p < 0.05).
    """
    by_run = frame.set_index("run")
    rows = []
    for (*group, method), part in frame.groupby([*GROUP, "method"], sort=False):
        originals = by_run.reindex(part["original"])
        row: dict[str, Any] = {**dict(zip(GROUP, group, strict=True)), "method": method, "runs": len(part)}
        row["failed"] = int((part["status"] == "failed").sum())
        for name in metrics:
            ours, theirs = part[name].to_numpy(float), originals[name].to_numpy(float)
            row[name], row[f"{name}_std"] = statistics.mean_std(ours)
            row[f"{name}_change"] = statistics.mean_std(ours - theirs)[0]
            row[f"{name}_relative"] = statistics.relative(ours, theirs)
            row[f"{name}_p"] = statistics.over_seeds(ours, theirs)
            if null_of(name) in part:
                row[f"{name}_null"] = statistics.mean_std(part[null_of(name)].to_numpy(float))[0]
        p = part["ndcg@10_users_p"].dropna() if "ndcg@10_users_p" in part else pd.Series(dtype=float)
        row |= {"users": int((p < 0.05).sum()), "compared": len(p)}
        rows.append(row)
    return pd.DataFrame(rows)


def chosen_early(frame: pd.DataFrame) -> list[str]:
    """Returns the methods of each group whose chosen round, in the mean over seeds, lies within pretraining.

    Args:
        frame: from `collect`.
    """
    pretrained = frame[frame["plan.adversary.trigger"] == "pretrain"]
    rounds = "plan.adversary.pretrain_rounds"
    means = pretrained.groupby([*GROUP, "method"], sort=False)[["round", rounds]].mean()
    return [", ".join(names) for names in means.index[means["round"] <= means[rounds]]]
