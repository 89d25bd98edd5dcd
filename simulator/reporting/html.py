"""Reports as HTML. A report is a single file without scripts that loads nothing else and can be read on a phone."""

import base64
import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Any

from export.plan.fragments import flat
from fedau2 import files
from simulator.config import flags
from simulator.config.config import Config
from simulator.datasets import Dataset
from simulator.datasets.split import CHOSEN_ON
from simulator.reporting import attacked
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


_MADE = (
    "The data set was made in Python, so no command repeats the run; simulator.run does, with the configuration below."
)

_ALWAYS = ("plan.model.name", "data.dataset", "data.attributes", "engine.seed")
"""Settings that a command names even where they are the default."""


def write(path: Path, title: str, parts: Iterable[str]) -> None:
    """Writes a page.

    Args:
        path: the HTML file to write.
        title: the title as text.
        parts: the parts as HTML, from the functions of this module.
    """
    page = _PAGE.substitute(title=escape(title), body="\n".join(parts))
    files.write(path, page.encode(errors="backslashreplace"))  # a folder's name may hold bytes that are not text


def heading(text: str) -> str:
    """Makes the heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, *, note: bool = False) -> str:
    """Makes a paragraph, in small print if it is a note."""
    return f'<p class="note">{escape(text)}</p>' if note else f"<p>{escape(text)}</p>"


def code(text: str) -> str:
    """Formats text as code."""
    return f"<pre>{escape(text)}</pre>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Makes a table; the first column is aligned to the left, the others to the right."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>\n" for row in rows)
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'


def details(summary: str, *parts: str) -> str:
    """Makes a part that opens on a click."""
    return f"<details><summary>{escape(summary)}</summary>\n{''.join(parts)}\n</details>"


def image(path: Path, text: str) -> str:
    """Embeds a PNG in the page.

    Args:
        path: the PNG file.
        text: a description for people who cannot see the image.
    """
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{content}">'


def versions() -> str:
    """Makes a table of the versions of the software."""
    rows = {"Python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in _PACKAGES:
        try:
            rows[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            rows[name] = "not installed"
    return table(("", "version"), rows.items())


def title(config: Config) -> str:
    """Returns recommender, data set and attributes of a run."""
    return f"{config.plan.model.name} on {config.data.dataset}, {', '.join(config.data.attributes)}"


def command(config: Config, folder: Path, data_dir: Path | None, attacks: str = "full") -> str:
    """Writes the command that repeats a run, with the settings that differ from the recommender's defaults.

    Args:
        config: the run's configuration.
        folder: the run's folder.
        data_dir: the data directory, if the user gave one. A report shows no path of the machine, so the command has
            a placeholder instead.
        attacks: the kind of attacks that was asked for.
    """
    out = folder.name if folder.is_absolute() else str(folder)
    words = ["fedau2-sim", "run", "--out", out, *(["--data-dir", "DATA_DIR"] if data_dir else [])]
    words += [] if attacks == "full" else ["--attacks", attacks]
    return shlex.join([*words, *flags.words(config, always=_ALWAYS)])


def items(texts: Iterable[str]) -> str:
    """Makes a list."""
    return f"<ul>\n{''.join(f'<li>{escape(text)}</li>' for text in texts)}\n</ul>"


def data(remarks: Sequence[str]) -> list[str]:
    """Makes the section on how a data set was read; empty if there is nothing to say."""
    return [heading("How the data was read"), items(remarks)] if remarks else []


def _kind(metrics: Mapping[str, Any]) -> str:
    kind: str = metrics.get(attacked.MARK, {}).get("kind", "full")
    return kind


def write_run(
    config: Config, folder: Path, source: Path | Dataset | None, metrics: Mapping[str, Any], remarks: Sequence[str] = ()
) -> None:
    """Writes `report.html` into a run folder that has the plots already.

    Args:
        config: the run's configuration.
        folder: the run's folder.
        source: the data directory, if the user gave one, see `command`; or the data set itself.
        metrics: the run's metrics.
        remarks: sentences about how the data set was read.
    """
    main = rows_of([metrics])
    rows = [
        (label, attacked.cell(metrics, key), f"{metrics[null]:.3f}" if null in metrics else "")
        for label, key, null in main
    ]
    listed = {name for _, key, null in main for name in (key, null)} | {"configuration", attacked.MARK}
    others = [(name, value) for name, value in metrics.items() if name not in listed]
    write(
        folder / "report.html",
        f"{title(config)}: adversary {config.adversary}",
        [
            table(("test items, and attribute attacks", "", "null p95"), rows),
            paragraph(attacked.sentence(metrics), note=not attacked.missing(metrics)),
            paragraph(_chosen(config.evaluation.split, metrics["round"]), note=True),
            *_attacked(config.data.attributes, metrics),
            image(folder / "learning.png", "HR@10 and NDCG@10 on held-out items by round"),
            *(
                part
                for name, file in leakage_files(config.data.attributes).items()
                for part in (heading(f"Attacks on {name}"), image(folder / file, f"balanced accuracy of {name}"))
            ),
            *data(remarks),
            heading("Command"),
            paragraph(_MADE) if isinstance(source, Dataset) else code(command(config, folder, source, _kind(metrics))),
            heading("More"),
            details("All other metrics", table(("", "value"), others)),
            details("Configuration", table(("", "value"), flat(config.document()))),
            details("Versions", versions()),
        ],
    )


def _chosen(split: str, number: int) -> str:
    """Says which state was measured, and if its choice biases the metrics."""
    text = f"From the state with the best {CHOSEN_ON[split]} NDCG@10, after round {number}."
    if split == "validation":
        return text
    return f"{text} The split {split} has no validation items: the state was chosen on the items it is measured by."


def _attacked(attributes: Sequence[str], metrics: Mapping[str, Any]) -> list[str]:
    """Says how many users the attribute attacks are on."""
    prefixes = ("", *(f"{name}/" for name in attributes[1:]))
    counts = {name: metrics.get(f"{prefix}attacked_users") for name, prefix in zip(attributes, prefixes, strict=True)}
    texts = [f"{count:,} users for {name}" for name, count in counts.items() if count is not None]
    sentence = f"The attribute attacks are on {', '.join(texts)}: a random sample, where a class has too many."
    return [paragraph(sentence, note=True)] if texts else []
