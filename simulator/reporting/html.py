"""Reports as one HTML file each: nothing is loaded from elsewhere, no script; also to be read on a phone."""

import base64
import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Any

from coordinator.store.disk import REAL
from export.plan.fragments import flat
from simulator.config import flags
from simulator.config.config import Config
from simulator.datasets.split import CHOSEN_ON
from simulator.reporting.plots import leakage_files
from simulator.reporting.terminal import rows_of

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #1a202c; background: #fff; max-width: 72rem; margin: 0 auto;
  padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
img { max-width: 100%; height: auto; display: block; margin: 1rem 0; }
pre { background: #f7fafc; padding: .75rem; overflow-x: auto; font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #e2e8f0; text-align: right; vertical-align: top;
  font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #a0aec0; }
summary { cursor: pointer; }
.note { color: #4a5568; font-size: .9rem; }
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")

_PACKAGES = ("fedau2", "numpy", "torch", "scikit-learn", "scipy", "pandas", "onnx", "grpcio")


_ALWAYS = ("plan.model.name", "data.dataset", "data.attributes", "engine.seed")
"""Settings that a command names even where they are the default."""


def write(path: Path, title: str, parts: Iterable[str]) -> None:
    """Writes a page.

    Args:
        path: of the HTML.
        title: as text.
        parts: as HTML, from the functions of this module.
    """
    REAL.write_file(path, _PAGE.substitute(title=escape(title), body="\n".join(parts)).encode())


def heading(text: str) -> str:
    """A heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, *, note: bool = False) -> str:
    """A paragraph, which may be in small print."""
    return f'<p class="note">{escape(text)}</p>' if note else f"<p>{escape(text)}</p>"


def code(text: str) -> str:
    """Text as it is, in a monospaced font."""
    return f"<pre>{escape(text)}</pre>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; the first column is aligned to the left, the others to the right."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>\n" for row in rows)
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'


def details(summary: str, *parts: str) -> str:
    """What is shown when it is asked for."""
    return f"<details><summary>{escape(summary)}</summary>\n{''.join(parts)}\n</details>"


def image(path: Path, text: str) -> str:
    """A PNG, within the page.

    Args:
        path: of the PNG.
        text: what it shows, for who does not see it.
    """
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{data}">'


def versions() -> str:
    """What the figures were computed with, as a table."""
    found = {"Python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return table(("", "version"), found.items())


def title(config: Config) -> str:
    """Returns recommender, data set and attributes of a run."""
    return f"{config.plan.model.name} on {config.data.dataset}, {', '.join(config.data.attributes)}"


def command(config: Config, folder: Path, data_dir: Path | None) -> str:
    """Returns the command that repeats a run; it says what differs from the recommender's defaults.

    Args:
        config: of the run.
        folder: of the run.
        data_dir: as it was given; no path of the machine is written, so it is left to be filled in.
    """
    out = folder.name if folder.is_absolute() else str(folder)
    words = ["fedau2-sim", "run", "--out", out, *(["--data-dir", "DATA_DIR"] if data_dir else [])]
    return shlex.join([*words, *flags.words(config, always=_ALWAYS)])


def write_run(config: Config, folder: Path, data_dir: Path | None, metrics: Mapping[str, Any]) -> None:
    """Writes `report.html` of a run whose plots and metrics are there; for `data_dir` see `command`."""
    wanted = rows_of([metrics])
    rows = [(label, f"{metrics[key]:.3f}", f"{metrics[null]:.3f}" if null else "") for label, key, null in wanted]
    shown = {name for _, key, null in wanted for name in (key, null)} | {"configuration"}
    others = [(name, value) for name, value in metrics.items() if name not in shown]
    write(
        folder / "report.html",
        f"{title(config)}: adversary {config.adversary}",
        [
            table(("test items, and attribute attacks", "", "null p95"), rows),
            paragraph(_chosen(config.evaluation.split, metrics["round"]), note=True),
            image(folder / "learning.png", "HR@10 and NDCG@10 on held-out items by round"),
            *(
                part
                for name, file in leakage_files(config.data.attributes).items()
                for part in (heading(f"Attacks on {name}"), image(folder / file, f"balanced accuracy of {name}"))
            ),
            heading("Command"),
            code(command(config, folder, data_dir)),
            heading("More"),
            details("All other figures", table(("", "value"), others)),
            details("Configuration", table(("", "value"), flat(config.document()))),
            details("Versions", versions()),
        ],
    )


def _chosen(split: str, number: int) -> str:
    """Which state was measured, and where that flatters it."""
    told = f"From the state with the best {CHOSEN_ON[split]} NDCG@10, after round {number}."
    if split == "validation":
        return told
    return f"{told} The split {split} has no validation items: the state was chosen on the items it is measured by."
