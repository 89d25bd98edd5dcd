"""The settings of an eraser in a plan; docs/plans.md explains them."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from export.plan.types import ALL, Count, Number, Positive, Scale, Section, Text, Whole, entries, setting
from fedau2.wire.erasers import MAX_STEPS
from fedau2.wire.matchings import MAX_FREQUENCIES


class EraserSettings(Section):
    """The settings of the eraser of the attributes in `erased`."""

    steps: Annotated[Whole, Field(ge=1, le=MAX_STEPS)] = setting("Most kernel steps after the linear map.")
    frequencies: Annotated[Whole, Field(ge=1, le=MAX_FREQUENCIES)] = setting(
        "Random frequencies of a step. Each gives two features of the standardised state."
    )
    length: Positive = setting("Usual length of a step.", "standard deviations of the state over users")
    floor: Scale = setting(
        "Fixed Gaussian noise of each device on its state; 0: no noise.", "standard deviations of the state over users"
    )
    rate: Annotated[Number, Field(gt=0, le=1)] = setting("Share of a round in the moving average of the sums.")
    minimum: Count = setting("Fewest users of a class in a round whose sums are used.", "users")
    shifts: bool = setting(
        "A device that knows its class moves its state by the class's published shift, in place of the linear map."
    )
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = setting("Seed of the frequencies, which are public.")


class ErasedEntry(Section):
    """An entry of `erased`."""

    attribute: Text = setting("The attribute that is erased.")
    name: Text | None = setting(
        "Name, unique among adversaries, matchings and erased attributes; left out, erased-ATTRIBUTE.", default=None
    )
    classes: Annotated[tuple[Text, ...], Field(min_length=2)] | None = setting(
        "The attribute's values in label order; left out in a run, those of its data.", default=None
    )


def erased_name(attribute: str) -> str:
    """Returns the name of an erased attribute that its entry does not name."""
    return f"erased-{attribute}"


def _document(value: tuple[ErasedEntry, ...] | None) -> Any:  # noqa: ANN401
    return ALL if value is None else [entry.model_dump(exclude_none=True) for entry in value]


Erased = Annotated[tuple[ErasedEntry, ...] | None, BeforeValidator(entries), PlainSerializer(_document)]
"""The entries; None stands for all attributes of a run's data."""
