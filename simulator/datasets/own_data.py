"""Reads interactions and users of one's own, wherever their tables come from: files, or data frames."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.config.own_files import OwnFiles
from simulator.datasets import columns, feedback
from simulator.datasets.attributes import NOT_DIVIDED, Attribute, UserColumns, is_number, value
from simulator.datasets.ids import Ids
from simulator.datasets.oddities import oddities
from simulator.datasets.table import Block
from simulator.datasets.times import Times, order_of, ordered
from simulator.errors import ConfigError, DatasetFormatError


@dataclass(frozen=True)
class Table:
    """A table of one's own.

    Attributes:
        file: its name, for errors and notes.
        header: the type of each column, by name: `token`, `float`, or a list of them.
        blocks: yields the rows, with the columns that are named.
        classes: for some columns, all classes that they may have, in order; those of others are sorted.
    """

    file: str
    header: Mapping[str, str]
    blocks: Callable[[Collection[str]], Iterator[Block]]
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Contents:
    """The fields of a `Dataset` but its name."""

    users: Sequence[str]
    items: Sequence[str]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    attributes: Mapping[str, Attribute]
    notes: tuple[str, ...]
    unfit: Mapping[str, str]
    ratings: NDArray[np.float32] | None = None
    kinds: NDArray[np.int8] | None = None


def read(interactions: Table, people: Table | None, settings: OwnFiles) -> Contents:
    """Reads interactions and, if there are any, attributes.

    Args:
        interactions: a row for each.
        people: a row for each user, with the attributes; None: no attributes.
        settings: those by which they are read.

    Raises:
        ConfigError: a column that was to be divided is not there, or cannot be divided.
        DatasetFormatError: a row cannot be used; the text names it.
    """
    file, users, items, times = interactions.file, Ids(), Ids(), Times()
    chosen = columns.choose(file, interactions.header, settings)
    parts, stars, kinds, low = [], [np.zeros(0)], [np.zeros(0, np.int8)], 0
    for block in interactions.blocks(chosen.used):
        for column in (chosen.user, chosen.item):
            block.expect_filled(column)
        numbers = feedback.kinds(block, chosen.kind) if chosen.kind else None
        high = np.ones(len(block.lines), np.bool_)
        if chosen.rating:
            values = feedback.ratings(block, chosen.rating, numbers)
            high = feedback.at_least(settings.min_rating, values, numbers)
            stars.append(values[high])
            block, low = block.select(high), low + int((~high).sum())
        if numbers is not None:
            kinds.append(numbers[high])
        if chosen.time:
            times.add(block, chosen.time)
        parts.append((users.add(block.columns[chosen.user]), items.add(block.columns[chosen.item])))
    if not users:
        raise DatasetFormatError(f"{file} has no interactions{' with such ratings' if low else ''}")
    user, item = map(np.concatenate, zip(*parts, strict=True))
    user_ids, item_ids = users.texts(), items.texts()
    made = _attributes(people, chosen.user, users, settings)
    notes = [*chosen.notes, *oddities("user ids", user_ids), *oddities("item ids", item_ids), *made.notes]
    if low:
        notes.append(f"{low:,} lines of {file} with a lower rating than {settings.min_rating:g} are left out")
    keys = times.keys() if chosen.time else ()
    order, history = order_of(user, keys), ordered(user, item, keys)
    of_each = (
        np.concatenate(stars)[order].astype(np.float32) if chosen.rating else None,
        np.concatenate(kinds)[order] if chosen.kind else None,
    )
    return Contents(user_ids, item_ids, *history, made.attributes, tuple(notes), made.unfit, *of_each)


def user_column(people: Table, user: str) -> str:
    """Returns the column of the users' ids: that of the interactions, or `user_id`.

    Raises:
        DatasetFormatError: there is neither.
    """
    column = user if user in people.header else columns.USER
    if people.header.get(column) != columns.TOKEN:
        raise DatasetFormatError(f"{people.file}: there is no column {column}:token for the users")
    return column


def _attributes(people: Table | None, user: str, users: Ids, settings: OwnFiles) -> UserColumns:
    made = UserColumns(settings.edges, settings.fold_case)
    if people is None:
        expect_divisible(settings.edges, "the data set", {})
        return made
    user = user_column(people, user)
    kinds = {name: kind for name, kind in people.header.items() if name != user}
    expect_divisible(settings.edges, people.file, kinds)
    names = [name for name, kind in kinds.items() if kind == columns.TOKEN or name in settings.edges]
    made.unfit.update({name: _reason(name, kind) for name, kind in kinds.items() if name not in names})
    values = {name: Ids([b""]) for name in names}
    numbers = {name: np.zeros(len(users), np.int64) for name in names}
    seen, strangers = np.zeros(len(users), np.bool_), 0
    for block in people.blocks([user, *names]):
        block.expect_filled(user)
        rows = users.find(block.columns[user])
        known = rows >= 0
        strangers += int((~known).sum())
        _expect_listed_once(block, user, rows, seen)
        for name in names:
            if name in settings.edges:
                expect_numbers(block, name)
            numbers[name][rows[known]] = values[name].add(block.columns[name])[known]
    for name in names:
        made.add(name, values[name].texts(), numbers[name], people.classes.get(name, ()))
    if strangers:
        made.notes.append(f"{strangers:,} users of {people.file} have no interactions, and are left out")
    return made


def expect_divisible(edges: Collection[str], file: str, kinds: Mapping[str, str]) -> None:
    """Checks that columns that are to be divided may hold numbers.

    Raises:
        ConfigError: one cannot, or is not there.
    """
    for name in edges:
        if kinds.get(name) not in (columns.TOKEN, columns.FLOAT):
            numbers = [column for column, kind in kinds.items() if kind in (columns.TOKEN, columns.FLOAT)]
            raise ConfigError(
                f"--bin cannot divide {name!r}: {file} has {', '.join(numbers) or 'no column'} that could be divided"
            )


def _reason(name: str, kind: str) -> str:
    if kind == columns.FLOAT:
        return f"it holds numbers; --bin {name}=A,B divides them into classes"
    return f"its type is {kind}, and an attribute has one value for each user"


def expect_numbers(block: Block, name: str) -> None:
    """Checks that a column holds numbers where it holds a value.

    Raises:
        DatasetFormatError: a field is another text.
    """
    texts = [text.decode() for text in block.columns[name].to_pylist()]
    block.refuse(np.array([bool(value(text)) and not is_number(text) for text in texts]), name, NOT_DIVIDED)


def _expect_listed_once(block: Block, user: str, rows: NDArray[np.int32], seen: NDArray[np.bool_]) -> None:
    places = np.flatnonzero(rows >= 0)
    _, first = np.unique(rows[places], return_index=True)
    fresh = np.zeros(len(rows), np.bool_)
    fresh[places[first]] = ~seen[rows[places[first]]]
    again = places[~fresh[places]]
    if again.size:
        raise block.error(int(again[0]), f"user {block.text(user, int(again[0]))!r} is listed twice")
    seen[rows[places]] = True
