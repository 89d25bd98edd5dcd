"""The settings of distribution matching in a plan; docs/plans.md explains them."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from export.plan.types import ALL, Count, Number, Positive, Protects, Scale, Section, Text, Whole, entries, setting
from fedau2.wire.matchings import MAX_FREQUENCIES


class MatchingSettings(Section):
    """The settings that all matchings of a plan share."""

    weight: Scale = setting("Scale of the gradient that moves the protected states.")
    frequencies: Annotated[Whole, Field(ge=1, le=MAX_FREQUENCIES)] = setting(
        "Random frequencies. Each gives two features of the whitened states."
    )
    bandwidth: Positive = setting("Width of the kernel.", "root mean square distance of whitened states")
    ridge: Positive = setting("What is added to each variance before states are whitened.", "mean variance")
    rate: Annotated[Number, Field(gt=0, le=1)] = setting("Share of a round in the moving average of the statistics.")
    minimum: Count = setting("Fewest users of a class in a round by whom its statistics are moved.", "users")
    protects: Protects = setting("What is matched: as adversary.protects.")
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = setting("Seed of the frequencies, which are public.")


class MatchingEntry(Section):
    """An entry of `matchings`."""

    attribute: Text = setting("The attribute whose classes are matched.")
    name: Text | None = setting(
        "Name of the matching, unique among adversaries and matchings; left out, matching-ATTRIBUTE.", default=None
    )
    classes: Annotated[tuple[Text, ...], Field(min_length=2)] | None = setting(
        "The attribute's values in label order; left out in a run, those of its data.", default=None
    )
    protects: Protects | None = setting("Names of the states; left out, those of matching.protects.", default=None)


def matching_name(attribute: str) -> str:
    """Returns the name of a matching that its entry does not name."""
    return f"matching-{attribute}"


def _document(value: tuple[MatchingEntry, ...] | None) -> Any:  # noqa: ANN401
    return ALL if value is None else [entry.model_dump(exclude_none=True) for entry in value]


Matchings = Annotated[tuple[MatchingEntry, ...] | None, BeforeValidator(entries), PlainSerializer(_document)]
"""The entries; None stands for a matching of each attribute of a run's data."""
