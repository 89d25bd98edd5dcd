"""Reports as HTML, of the templates beside this module.

A report is a single file without scripts that loads nothing else and can be read on a phone.
"""

import base64
import platform
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fedau2 import files
from simulator.config import flags
from simulator.config.config import Config

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

Part = Markup
"""A part of a page. Text that is not one is escaped wherever it stands."""

_PACKAGES = ("fedau2", "numpy", "torch", "scikit-learn", "scipy", "pandas", "onnx", "grpcio")

_ALWAYS = ("plan.model.name", "data.dataset", "data.attributes", "engine.seed")
"""Settings that a command names even where they are the default."""


def write(path: Path, title: str, parts: Iterable[str], *, refresh: str = "") -> None:
    """Writes a page.

    Args:
        path: the HTML file to write.
        title: the title as text.
        parts: from the functions of this module.
        refresh: seconds after which a browser loads the page again, or `0; url=FILE`; empty: never.
    """
    page = _TEMPLATES.get_template("page.html").render(title=title, parts=parts, refresh=refresh)
    files.write(path, page.encode(errors="backslashreplace"))  # a folder's name may hold bytes that are not text


@cache
def _macros() -> Any:  # noqa: ANN401
    return _TEMPLATES.get_template("parts.html").module


def _part(name: str, *arguments: object) -> Part:
    return Part(getattr(_macros(), name)(*arguments))


def heading(text: str) -> Part:
    """Makes the heading of a section."""
    return _part("heading", text)


def paragraph(text: str, *, note: bool = False, lead: bool = False) -> Part:
    """Makes a paragraph, in small print if it is a note, and set apart if it is the lead."""
    return _part("paragraph", text, "note" if note else "lead" if lead else "")


def code(text: str) -> Part:
    """Formats text as code."""
    return _part("code", text)


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], best: Collection[tuple[int, int]] = frozenset()
) -> Part:
    """Makes a table; the first column is aligned to the left, the others to the right.

    Args:
        header: names of the columns.
        rows: their cells.
        best: row and column of each cell that is marked as the best, from 0.
    """
    return _part("table", header, rows, best)


def details(summary: str, *parts: str) -> Part:
    """Makes a part that opens on a click."""
    return _part("details", summary, parts)


def image(path: Path, text: str) -> Part:
    """Embeds a picture in the page: the SVG beside the PNG, which is sharp in every size, or else the PNG.

    Args:
        path: the PNG file.
        text: a description for people who cannot see the image.
    """
    vector = path.with_suffix(".svg")
    kind, file = ("svg+xml", vector) if vector.exists() else ("png", path)
    return _part("image", kind, base64.b64encode(file.read_bytes()).decode(), text)


def bar(text: str, done: int, total: int) -> Part:
    """Makes a bar of progress with a line of text."""
    return _part("bar", text, done, total)


def links(targets: Mapping[str, str]) -> Part:
    """Makes a list of links to files beside the page, by their texts."""
    return _part("links", targets)


def items(texts: Iterable[str]) -> Part:
    """Makes a list."""
    return _part("items", texts)


def versions() -> Part:
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


def data(remarks: Sequence[str]) -> list[Part]:
    """Makes the section on how a data set was read; empty if there is nothing to say."""
    return [heading("How the data was read"), items(remarks)] if remarks else []
