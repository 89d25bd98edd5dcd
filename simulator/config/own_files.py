"""Settings that say how a data set of one's own is read: its encoding, its columns, and the classes of attributes."""

import codecs
import itertools
import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Strict, ValidationError, model_validator

from export.plan.explain import explain
from export.plan.types import Number, Section, Text, setting
from simulator.errors import ConfigError

AUTO, NONE = "auto", "none"
"""Words that stand for a column: the usual one, and no column."""

NUMBER = r"-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?"
"""Pattern of a number in a table."""


def _encoding(name: str) -> str:
    """Returns Python's name of an encoding of text.

    Raises:
        ValueError: there is no such encoding.
    """
    try:
        "a".encode(name)
        codecs.getincrementaldecoder(name)
    except UnicodeError:
        pass  # it has no such letter
    except (LookupError, ValueError) as error:
        known = "utf-8, utf-16, latin-1, cp1252 and others"
        raise ValueError(f"no encoding of text is called {name!r}; there is {known}") from error
    return codecs.lookup(name).name.removesuffix("-sig")


def read_bin(text: str) -> tuple[str, tuple[float, ...]]:
    """Reads the edges of a column of numbers: `age=25,45`.

    Raises:
        ValueError: the text has another form, or the numbers do not ascend.
    """
    name, _, rest = text.rpartition("=")
    parts = [part.strip() for part in rest.split(",")]
    if not name.strip() or not all(re.fullmatch(NUMBER, part) for part in parts):
        raise ValueError(f"{text!r} is not a column and its edges, such as age=25,45")
    numbers = tuple(map(float, parts))
    if any(first >= second for first, second in itertools.pairwise(numbers)):
        raise ValueError(f"the numbers of {text!r} must ascend")
    return name.strip(), numbers


def _canonical(text: str) -> str:
    name, _ = read_bin(text)
    return f"{name}={''.join(text.rpartition('=')[2].split())}"


class OwnFiles(Section):
    """The settings by which a data set of one's own is read."""

    encoding: Annotated[str, Strict(), AfterValidator(_encoding)] = setting(
        "Encoding of the files; utf-8 may begin with a byte order mark.", default="utf-8"
    )
    user_column: Text = setting("Column of the users; auto: user_id, or the only one that is left.", default=AUTO)
    item_column: Text = setting("Column of the items; auto: item_id, or the only one that is left.", default=AUTO)
    time_column: Text = setting("Column of the times; auto: timestamp:float; none: the order of lines.", default=AUTO)
    rating_column: Text = setting("Column of the ratings; none: every line is an interaction.", default=NONE)
    kind_column: Text = setting(
        "Column of the kinds: view, like, purchase, dislike or rating; none: all are alike.",
        default=NONE,
    )
    min_rating: Number = setting("Lowest rating that is an interaction, with a column of ratings.", default=0.0)
    bins: tuple[Annotated[str, Strict(), AfterValidator(_canonical)], ...] = setting(
        "Edges that divide a column of numbers into classes.", default=()
    )
    fold_case: Annotated[bool, Strict()] = setting(
        "Write classes in small letters, so that F and f are the same.", default=False
    )

    @model_validator(mode="after")
    def _columns(self) -> Self:
        if self.min_rating and self.rating_column == NONE:
            raise ValueError("min_rating is compared with a column: name it in rating_column")
        names = [read_bin(text)[0] for text in self.bins]
        if len(set(names)) < len(names):
            raise ValueError("bins: a column is named twice")
        return self

    @classmethod
    def of(cls, **settings: object) -> Self:
        """Makes settings of those that differ from the defaults.

        Raises:
            ConfigError: it names the setting and what would be right.
        """
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise ConfigError(explain(error, cls, settings)) from error

    @property
    def edges(self) -> Mapping[str, tuple[float, ...]]:
        """The edges by column."""
        return dict(map(read_bin, self.bins))

    def changed(self) -> list[str]:
        """Lists the settings of this section that are not the default."""
        return [name for name, field in OwnFiles.model_fields.items() if getattr(self, name) != field.default]
