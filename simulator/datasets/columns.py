"""Chooses the columns of a file of interactions by its header."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from simulator.config.own_files import AUTO, NONE, OwnFiles
from simulator.datasets import times
from simulator.errors import DatasetFormatError

USER, ITEM, TIME = "user_id", "item_id", "timestamp"
"""The usual names of columns."""

RATING, KIND = "rating:float", "kind:token"
"""The columns, with types, in which this product writes ratings and kinds."""

TOKEN, FLOAT = "token", "float"
"""Types of columns: text, and a number."""


@dataclass(frozen=True)
class Columns:
    """The columns that are used.

    Attributes:
        user: of the users.
        item: of the items.
        time: of the times; None: the order of lines stands for time.
        rating: of the ratings; None: every line is an interaction.
        kind: of the kinds; None: all are alike.
        notes: sentences about columns that were guessed, and about those that are not used.
    """

    user: str
    item: str
    time: str | None
    rating: str | None
    kind: str | None
    notes: tuple[str, ...]

    @property
    def used(self) -> list[str]:
        """Lists the columns."""
        columns = self.user, self.item, self.time, self.rating, self.kind
        return [column for column in columns if column is not None]


def untyped(names: Iterable[str]) -> dict[str, str]:
    """Returns the types of columns whose file has none: times are numbers, and the others are texts."""
    return {name: FLOAT if name == TIME else TOKEN for name in names}


def choose(file: str, header: Mapping[str, str], settings: OwnFiles) -> Columns:
    """Chooses the columns of users, items, times, ratings and kinds.

    Args:
        file: the file's name.
        header: the type of each column, by name.
        settings: the names that were given.

    Raises:
        DatasetFormatError: a column that is needed cannot be found, or is named twice; the text names the choices.
    """
    user, item = _pair(file, header, settings)
    time = _time(file, header, settings.time_column)
    rating = None if settings.rating_column == NONE else _named(file, header, "rating", settings.rating_column)
    kind = None if settings.kind_column == NONE else _named(file, header, "kind", settings.kind_column, (TOKEN,))
    used = [column for column in (user, item, time, rating, kind) if column is not None]
    if twice := sorted({column for column in used if used.count(column) > 1}):
        raise DatasetFormatError(f"{file}: the column {twice[0]!r} cannot have two meanings")
    pairs = (("user", user, USER, settings.user_column), ("item", item, ITEM, settings.item_column))
    notes = [
        f"{role}s are read from the column {column!r} of {file}"
        for role, column, usual, named in pairs
        if column != usual and named == AUTO
    ]
    notes += [] if time else [times.FILE_ORDER]
    notes += [_unused(file, column) for column in header if column not in used]
    return Columns(user, item, time, rating, kind, tuple(notes))


def _pair(file: str, header: Mapping[str, str], settings: OwnFiles) -> tuple[str, str]:
    """Returns the columns of users and items; where neither has its usual name, the two that there are, in order."""
    user, item = (
        _given(file, header, kind, named, usual)
        for kind, named, usual in (("user", settings.user_column, USER), ("item", settings.item_column, ITEM))
    )
    left = [column for column, kind in header.items() if kind == TOKEN and column not in (user, item)]
    if user is None and item is None and len(left) == 2:
        return left[0], left[1]
    if user is None:
        user = _only(file, "user", USER, left if item else [], header)
    if item is None:
        item = _only(file, "item", ITEM, left, header)
    return user, item


def _given(file: str, header: Mapping[str, str], kind: str, named: str, usual: str) -> str | None:
    """Returns the column that was named, or the usual one; None if neither is there."""
    if named != AUTO:
        return _named(file, header, kind, named, (TOKEN,))
    return usual if header.get(usual) == TOKEN else None


def _named(file: str, header: Mapping[str, str], kind: str, named: str, types: Sequence[str] = (TOKEN, FLOAT)) -> str:
    if named not in header:
        raise DatasetFormatError(f"{file}: there is no column {named!r}; there is {_listed(header)}")
    if header[named] not in types:
        raise DatasetFormatError(
            f"{file}: {named}:{header[named]} cannot be the column of the {kind}s; its type must be "
            f"{' or '.join(types)}"
        )
    return named


def _only(file: str, kind: str, usual: str, left: Sequence[str], header: Mapping[str, str]) -> str:
    if len(left) == 1:
        return left[0]
    separators = "; columns are separated by tabs" if len(header) == 1 else ""
    raise DatasetFormatError(
        f"{file}: the column {usual}:{TOKEN} is missing{separators}: name the column of the {kind}s with "
        f"--{kind}-column; there is {_listed(header)}"
    )


def _listed(header: Mapping[str, str]) -> str:
    return ", ".join(f"{column}:{kind}" for column, kind in header.items())


def _time(file: str, header: Mapping[str, str], named: str) -> str | None:
    if named == AUTO:
        return TIME if header.get(TIME) == FLOAT else None
    return None if named == NONE else _named(file, header, "time", named)


def _unused(file: str, column: str) -> str:
    if times.looks_like(column):
        return f"the column {column!r} of {file} looks like a time and is not used: --time-column {column} uses it"
    return f"the column {column!r} of {file} is not used: every line is an interaction, whatever it says"
