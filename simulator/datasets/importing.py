"""Makes RecBole's atomic files of other tables: a folder that appears whole or not at all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.config.own_files import OwnFiles
from simulator.datasets import class_lists, columns, dates, feedback, folders, json_lines, opening, recbole
from simulator.datasets.attributes import class_names, class_of, value
from simulator.datasets.columns import Columns
from simulator.datasets.dataset import Dataset
from simulator.datasets.layouts import Layout
from simulator.datasets.own_data import Table, expect_divisible, expect_numbers, user_column
from simulator.datasets.table import Block
from simulator.datasets.times import Times
from simulator.errors import ConfigError, DatasetFormatError


@dataclass(frozen=True)
class Request:
    """Tables to import: files with separators, or JSON lines.

    Attributes:
        interactions: the file with a row for each interaction.
        out: the folder to make; its name is that of the data set.
        users: the file with a row for each user; None: attributes stand in the rows of interactions, or nowhere.
        attributes: columns that become attributes; None: all of the users' file.
        delimiter: the character between two fields; None: a tab for .tsv, a comma for others.
        columns: names of the columns of a file of interactions without a header; None: its first line names them.
        users_columns: the same for the users' file.
        settings: those by which the files are read.
    """

    interactions: Path
    out: Path
    users: Path | None = None
    attributes: Sequence[str] | None = None
    delimiter: str | None = None
    columns: Sequence[str] | None = None
    users_columns: Sequence[str] | None = None
    settings: OwnFiles = field(default_factory=OwnFiles)


def make(request: Request) -> Dataset:
    """Imports tables, and reads the result.

    Returns:
        The data set, with notes about the tables too.

    Raises:
        ConfigError: a column is not there, or the name is that of the generated data set.
        DatasetExistsError: the folder is there already.
        DatasetError: a table cannot be read; the text names file and line. Nothing is left.
    """
    name, delimiter = request.out.name, request.delimiter
    _expect_delimited(request)
    interactions, layout = opening.interactions(request.interactions, request.settings, delimiter, request.columns)
    settings = layout.settings(interactions.header, request.settings) if layout else request.settings
    people = interactions
    if request.users:
        people = opening.table(request.users, request.settings, delimiter, request.users_columns)
    inside = () if request.users else tuple(request.attributes or ())
    header = {column: kind for column, kind in interactions.header.items() if column not in inside}
    chosen = columns.choose(interactions.file, header, settings)
    user = user_column(people, chosen.user)
    attributes, notes = _attributes(people, user, request)
    timeless = list[int]()
    with folders.new(request.out) as folder:
        rows = _interactions(interactions, chosen, timeless if layout and layout.gaps else None)
        folders.write(folder / f"{name}.inter", _header(chosen), rows)
        if attributes:
            rows = _users(people, user, attributes, settings, once=people is not interactions)
            titles = [f"{columns.USER}:token", *(f"{attribute}:token" for attribute in attributes)]
            folders.write(folder / f"{name}.user", titles, rows)
            classes = {attribute: class_names(edges) for attribute, edges in settings.edges.items()}
            class_lists.write(folder / f"{name}.classes", classes)
        dataset = recbole.load(folder, name)
    notes = [*_recognised(interactions, layout, chosen), *notes, *_counted(interactions, timeless, dataset)]
    return replace(dataset, notes=tuple(dict.fromkeys([*chosen.notes, *notes, *dataset.notes])))


def _expect_delimited(request: Request) -> None:
    """Checks that a delimiter that was given stands in one of the files."""
    paths = [path for path in (request.interactions, request.users) if path is not None]
    if request.delimiter and all(map(json_lines.is_named, paths)):
        raise ConfigError("--delimiter has no effect on JSON lines: leave it out")


def _recognised(table: Table, layout: Layout | None, chosen: Columns) -> list[str]:
    if layout is None:
        return []
    roles = {"users": chosen.user, "items": chosen.item, "ratings": chosen.rating, "times": chosen.time}
    read = ", ".join(f"{role} {column!r}" for role, column in roles.items() if column)
    return [f"{table.file} has the columns of {layout.of}: {read}"]


def _counted(table: Table, timeless: Sequence[int], dataset: Dataset) -> list[str]:
    """Makes notes on lines that are left out, on repeats, and on missing attributes."""
    notes = []
    if timeless:
        lines = f"{len(timeless):,} lines of {table.file} without a time are left out, the first is line {timeless[0]}"
        notes.append(f"{lines}: --time-column none keeps them")
    pairs = np.unique(dataset.user * len(dataset.items) + dataset.item)
    if repeats := len(dataset.item) - len(pairs):
        notes.append(f"{repeats:,} interactions repeat an earlier one of the same user and item; a run takes the first")
    if not dataset.attributes and not dataset.unfit:
        notes.append("users have no attributes, so there is nothing to unlearn and to attack: --users FILE joins some")
    return notes


def _attributes(people: Table, user: str, request: Request) -> tuple[list[str], list[str]]:
    """Returns the columns that become attributes, and notes on the others of the users' file."""
    others = [name for name in people.header if name != user]
    usual = [name for name in others if name] if request.users else []
    chosen = usual if request.attributes is None else list(request.attributes)
    if missing := [name for name in chosen if name not in others]:
        raise ConfigError(f"{people.file} has no column {missing[0]!r} for an attribute; it has {', '.join(others)}")
    if odd := [name for name in chosen if set(name) & {*"\t\r\n"}]:
        raise ConfigError(f"{odd[0]!r} of {people.file} cannot be an attribute: its name holds a tab or a line break")
    if columns.USER in chosen:
        raise ConfigError(f"{columns.USER} of {people.file} cannot be an attribute: the users' column gets this name")
    expect_divisible(request.settings.edges, "the choice of attributes", dict.fromkeys(chosen, columns.TOKEN))
    left = [name for name in others if name not in chosen] if request.users else []
    return chosen, [f"the column {name!r} of {people.file} is not imported" for name in left]


def _header(chosen: Columns) -> list[str]:
    header = [f"{columns.USER}:token", f"{columns.ITEM}:token"]
    header += [f"{columns.TIME}:float"] * bool(chosen.time)
    return header + [columns.RATING] * bool(chosen.rating) + [columns.KIND] * bool(chosen.kind)


def _interactions(table: Table, chosen: Columns, timeless: list[int] | None) -> Iterable[Sequence[bytes]]:
    """Yields the rows; lines without a time are left out where a list is given, which collects their numbers."""
    dated, empty = None, True
    for block in table.blocks(chosen.used):
        if chosen.time and timeless is not None:
            timed = block.matches(chosen.time, r"\S")
            timeless += block.lines[~timed].tolist()
            block = block.select(timed)
        if not len(block.lines):
            continue
        for column in (chosen.user, chosen.item):
            _expect_writable(block, column)
            block.expect_filled(column)
        kinds = None
        if chosen.kind:
            block = _trimmed(block, chosen.kind)
            kinds = feedback.kinds(block, chosen.kind)
        if chosen.rating:
            block = _trimmed(block, chosen.rating)
            feedback.ratings(block, chosen.rating, kinds)
        if chosen.time:
            block = _trimmed(block, chosen.time)
            dated = dates.nanoseconds(block.text(chosen.time, 0)) is not None if dated is None else dated
            block = _in_nanoseconds(block, chosen.time) if dated else block
            Times().add(block, chosen.time)
        yield from zip(*(block.columns[column].to_pylist() for column in chosen.used), strict=True)
        empty = False
    if empty:
        raise DatasetFormatError(f"{table.file} has no interactions")


def _in_nanoseconds(block: Block, column: str) -> Block:
    numbers = [dates.nanoseconds(text.decode()) for text in block.columns[column].to_pylist()]
    block.refuse(np.array([number is None for number in numbers]), column, f"is not {dates.FORM}, as the first is")
    return replace(block, columns={**block.columns, column: pa.array([str(number).encode() for number in numbers])})


def _trimmed(block: Block, column: str) -> Block:
    texts = pc.utf8_trim_whitespace(block.columns[column].cast(pa.string())).cast(pa.binary())
    return replace(block, columns={**block.columns, column: texts})


def _users(
    table: Table, user: str, attributes: Sequence[str], settings: OwnFiles, *, once: bool
) -> Iterable[Sequence[bytes]]:
    """Returns the rows of users; where they stand in the rows of interactions, those of a user must agree."""
    classes: dict[bytes, list[str]] = {}
    for block in table.blocks([user, *attributes]):
        block.expect_filled(user)
        for name in (user, *attributes):
            _expect_writable(block, name)
        for name in settings.edges:
            expect_numbers(block, name)
        read = (_classes(block, name, settings) for name in attributes)
        for row, (identifier, *texts) in enumerate(zip(block.columns[user].to_pylist(), *read, strict=True)):
            if once and identifier in classes:
                raise block.error(row, f"user {block.text(user, row)!r} is listed twice")
            before = classes.setdefault(identifier, texts)
            for place, text in enumerate(texts):
                if not value(before[place]):
                    before[place] = text
                elif value(text) and text != before[place]:
                    values = f"{attributes[place]} {text!r}, and {before[place]!r} before"
                    raise block.error(row, f"user {block.text(user, row)!r} has {values}")
    return ((identifier, *map(str.encode, texts)) for identifier, texts in classes.items())


def _classes(block: Block, name: str, settings: OwnFiles) -> list[str]:
    """Returns the classes of a column; a word for a missing value stays, for the reader to point out."""
    texts = [text.decode().strip() for text in block.columns[name].to_pylist()]
    return [class_of(text, settings.edges.get(name, ()), settings.fold_case) or text for text in texts]


def _expect_writable(block: Block, column: str) -> None:
    block.refuse(~block.matches(column, r"\A[^\t\r\n]*\z"), column, "holds a tab or a line break")
