"""Types of settings: sections, numbers with their ranges, and the words that stand for what data decides."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator, Strict
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from fedau2.wire.weights import MOST, MOST_RATING

ALL, NONE = "all", "none"
"""The words that `adversaries` and `matchings` may say instead of a list."""

LARGEST = 1e38
"""Numbers stay below it, so that they are numbers in float32 too."""


class Section(BaseModel):
    """A part of a plan or of a configuration: immutable, and without keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def setting(description: str, unit: str = "", **constraints: Any) -> Any:  # noqa: ANN401 - as of pydantic's Field
    """Declares a setting.

    Args:
        description: its meaning, for `--help` and docs/plans.md.
        unit: of its value.
        constraints: those of pydantic's `Field`.
    """
    return Field(description=description, json_schema_extra={"unit": unit}, **constraints)


def unit_of(field: FieldInfo) -> str:
    """Returns the unit that `setting` declared."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def number(value: object) -> object:
    """Returns a number for a text that is one: YAML 1.1 reads 4e2 and 1e-6 as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


Whole = Annotated[int, Strict()]
Text = Annotated[str, Strict(), Field(min_length=1)]
Number = Annotated[float, BeforeValidator(number), Strict(), Field(allow_inf_nan=False, lt=LARGEST)]
Positive = Annotated[Number, Field(gt=0)]
Scale = Annotated[Number, Field(ge=0)]
Count = Annotated[Whole, Field(ge=1, lt=2**32)]
Flag = Annotated[bool, Strict()]
InteractionWeight = Annotated[Number, Field(ge=0, le=MOST)]
Rating = Annotated[Number, Field(ge=0, le=MOST_RATING)]


def _short(prefix: str) -> Callable[[object], object]:
    """Accepts the full name of an enum's value, in any case, and what YAML 1.1 makes of a bare `off`."""

    def shorten(value: object) -> object:
        if value is False:
            return "off"
        return value.lower().removeprefix(f"{prefix}_") if isinstance(value, str) else value

    return shorten


Head = Annotated[Literal["mlp", "vae", "dsvae", "scalar"], BeforeValidator(_short("head"))]
Trigger = Annotated[Literal["off", "global", "pretrain", "sut"], BeforeValidator(_short("trigger"))]
Objective = Annotated[Literal["reversal", "confusion"], BeforeValidator(_short("objective"))]
Kind = Annotated[Literal["sgd", "adam"], BeforeValidator(_short("optimizer_kind"))]


def _listed(words: tuple[str, ...], of: type) -> PlainValidator:
    """Accepts one of some words, or a list of texts or of positive numbers."""
    kind = "names (put them in quotes)" if of is str else "positive numbers"
    expected = f"{', '.join(words)}, or a list of {kind}"

    def check(value: object) -> object:
        if isinstance(value, str) and value in words:
            return value
        if isinstance(value, (list, tuple)) and value:
            items = tuple(value if of is str else map(number, value))
            if of is str and all(isinstance(item, str) and item for item in items):
                return items
            if of is float and all(type(item) in (int, float) and 0 < item < LARGEST for item in items):
                return tuple(map(float, items))
        raise PydanticCustomError("listed", "expected {expected}", {"expected": expected})

    return PlainValidator(check)


_LIST = PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value)
Protects = Annotated[str | tuple[str, ...], _listed(("embedding", "all", "each"), str), _LIST]
ClassWeights = Annotated[str | tuple[float, ...], _listed(("none", "balanced"), float), _LIST]
Prior = Annotated[str | tuple[float, ...], _listed(("shares", "uniform"), float), _LIST]


def entries(value: object) -> object:
    """Returns a list of entries for the words that may stand for it; None stands for all."""
    if value is None:
        raise ValueError(f"it is empty: write {ALL}, {NONE} or a list of entries")
    return None if value == ALL else () if value == NONE else value


def walk(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yields dotted path and field of every setting of a section, those of nested sections included."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from walk(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field
