"""An experiment's report: tables, plots, command and settings in one page."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from export.plan.fragments import flat
from simulator.datasets.split import CHOSEN_ON
from simulator.reporting import frames, html
from simulator.reproduce import costs, figures, table
from simulator.reproduce.experiments import TRIGGERS, Experiment
from simulator.reproduce.grid import Cell
from simulator.reproduce.lead import sentences as lead_of
from simulator.reproduce.results import GROUP, shown_in


def draw(experiment: Experiment, frame: pd.DataFrame, summary: pd.DataFrame, folder: Path) -> dict[str, list[Path]]:
    """Writes the plots of each group that has results, and returns their paths by the group's title."""
    drawn: dict[str, list[Path]] = {}
    for title, part in table.groups(summary):
        known = part[part["runs"] > part["failed"]]
        stem = folder / re.sub(r"[^\w.-]+", "-", title)
        paths = drawn.setdefault(title, [])
        if known.empty:
            continue
        text = f"{experiment.title}\n{title}"
        metrics = shown_in(known)
        paths.append(stem.with_name(f"{stem.name}-methods.png"))
        figures.plot_dots(known, metrics, text, paths[-1])
        if experiment.plot == "frontier":
            paths.append(stem.with_name(f"{stem.name}-frontier.png"))
            figures.plot_frontier(known, text, paths[-1])
        classes = [name.removeprefix(TRIGGERS) for name in metrics if name.startswith(TRIGGERS)]
        if experiment.plot == "triggers" and classes:
            paths.append(stem.with_name(f"{stem.name}-triggers.png"))
            figures.plot_triggers(known, classes, text, paths[-1])
        if experiment.curve:
            paths.append(stem.with_name(f"{stem.name}-rounds.png"))
            label = _curve(experiment.curve, frame["evaluation.split"].iloc[0])
            figures.plot_curves(_rounds(frame, part, folder), experiment.curve, label, text, paths[-1])
    return drawn


def _curve(column: str, split: str) -> str:
    """Returns the label of a column of `rounds.parquet`; NDCG is the metric that chooses the round."""
    return f"{CHOSEN_ON[split]} {table.heading(column)}" if column.startswith("ndcg") else table.heading(column)


def _rounds(frame: pd.DataFrame, part: pd.DataFrame, folder: Path) -> dict[str, list[pd.DataFrame]]:
    """Returns, for each method of a group, the rounds of its runs that succeeded."""
    finished = frame[(frame["status"] == "done") & (frame[GROUP] == part[GROUP].iloc[0]).all(axis=1)]
    return {
        str(method): [frames.read(folder / "runs" / run / "rounds.parquet") for run in runs]
        for method, runs in finished.groupby("method", sort=False)["run"]
    }


def write(
    experiment: Experiment,
    cells: Sequence[Cell],
    frame: pd.DataFrame,
    summary: pd.DataFrame,
    cost: pd.DataFrame,
    drawn: dict[str, list[Path]],
    command: str,
    folder: Path,
    data_dir: Path | None,
) -> None:
    """Writes `report.html`; for `cost` see `costs.collect`, and for `data_dir` `html.command`."""
    metrics = shown_in(summary)
    lead = " ".join(sentence for _, part in table.groups(summary) for sentence in lead_of(part, frame))
    claim = [html.paragraph(f"The paper: {experiment.claim}")] if experiment.claim else []
    parts = [html.paragraph(lead, lead=True), *claim, html.code(command), _extent(cells)]
    for title, part in table.groups(summary):
        columns = table.columns(metrics)
        rows = [table.cells(row, columns) for _, row in part.iterrows()]
        parts += [html.heading(title), html.table([name for name, _ in columns], rows)]
        parts += [html.image(path, f"{experiment.title}: {title}") for path in drawn[title]]
        if not cost.empty and not (by_group := cost[(cost[GROUP] == part[GROUP].iloc[0]).all(axis=1)]).empty:
            parts += [html.heading(f"{title}: cost by group of users"), html.table(costs.HEADER, costs.rows(by_group))]
            parts.append(html.paragraph(costs.NOTE, note=True))
    parts += [html.paragraph(text, note=True) for text in table.notes(frame)]
    if (frame["status"] == "failed").any():
        failed = frame[frame["status"] == "failed"]
        parts += [html.heading("Failed"), html.table(("run", "why"), failed[["run", "error"]].to_numpy().tolist())]
    parts.append(html.heading("Each run"))
    parts.append(html.details(f"{len(cells)} runs", _runs(frame, metrics)))
    commands = "\n".join(html.command(cell.config, folder / "runs" / cell.name, data_dir) for cell in cells)
    parts.append(html.details("The command of each run", html.code(commands)))
    parts.append(html.details("Settings", _settings(cells)))
    parts.append(html.details("Versions", html.versions()))
    html.write(folder / "report.html", f"{experiment.name}: {experiment.title}", parts)


def _extent(cells: Sequence[Cell]) -> html.Part:
    """Returns rounds, seeds, attack splits and split: they show a look and a measurement apart."""
    values = _values(cells)
    paths = ("engine.rounds", "engine.seed", "evaluation.attack_splits", "evaluation.split")
    texts = (f"{path.partition('.')[2].replace('_', ' ')} {', '.join(values[path])}" for path in paths)
    return html.paragraph(f"{len(cells)} runs; {'; '.join(texts)}.", note=True)


def _values(cells: Sequence[Cell]) -> dict[str, list[str]]:
    """Returns the values that each setting has in the cells, by dotted path."""
    values: dict[str, dict[str, None]] = {}
    for cell in cells:
        for path, value in flat(cell.config.document()):
            values.setdefault(path, {})[str(value)] = None
    return {path: list(texts) for path, texts in values.items()}


def _runs(frame: pd.DataFrame, metrics: Sequence[str]) -> html.Part:
    users = [name for name in map(str, frame.columns) if name.startswith("ndcg@10_users_")]
    others = [name for name in ("round", "seconds") if name in frame and name not in metrics]
    columns = ["run", "status", *metrics, *users, *others]
    return html.table(columns, [[_text(row[name]) for name in columns] for row in frame.to_dict("records")])


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _settings(cells: Sequence[Cell]) -> html.Part:
    """Returns a table of every setting and the values that it has in the runs."""
    return html.table(("", "values"), [(path, ", ".join(texts)) for path, texts in _values(cells).items()])
