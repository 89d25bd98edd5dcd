"""The `model` section of a plan: a recommender's name, its widths and the parameters that are its own.

The keys are the fields of the recommender's dataclasses `Widths` and `Parameters`, whose defaults are the plan's.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, create_model
from pydantic_core import PydanticCustomError

from client_sdk.kernel.models import RECOMMENDERS, RecommenderEntry
from export.errors import UnknownModelError
from export.plan.types import Whole, number
from fedau2.similar import did_you_mean

NAME = "name"

_TEXTS = {
    "fedncf": {
        "gmf": "Width of the branch of generalised matrix factorisation; 0 leaves it out.",
        "mlp": "Width of the item and user vectors that the MLP sees.",
        "hidden": "Widths of the MLP's layers.",
    },
    "fedrap": {
        "latent": "Width of the items' vectors.",
        "l1_weight": "Mu: weight of the mean absolute value of the items' common vectors in the loss.",
    },
    "fedvae": {
        "hidden": "Width of the layers next to the items.",
        "latent": "Width of the latent.",
        "kl_cap": "Largest weight of the Kullback-Leibler divergence in the loss.",
        "kl_anneal_rounds": "The divergence weighs round / kl_anneal_rounds up to kl_cap; 0: always kl_cap.",
        "dropout": "Share of the interactions that the encoder does not see while it learns.",
    },
    "fcf": {"latent": "Width of the users' and items' vectors."},
    "pfedrec": {"latent": "Width of the items' vectors."},
    "fedgnn": {
        "latent": "Width of the vectors of nodes.",
        "dropout": "Share of the user's edges that a local step leaves out.",
    },
}


class Model(BaseModel):
    """The recommender of a plan; its widths and parameters are attributes of their own names."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    name: str

    @property
    def own(self) -> dict[str, Any]:
        """Widths and parameters, by name."""
        return dict(self.model_extra or {})

    def document(self) -> dict[str, Any]:
        """Returns the section as a plan file holds it."""
        return {NAME: self.name, **self.own}

    def widths(self) -> Any:  # noqa: ANN401 - each recommender has its own
        """Returns the recommender's `Widths`."""
        return self._part(declared(self.name).Widths)

    def parameters(self) -> dict[str, float]:
        """Returns the recommender's `Parameters` by name."""
        return dict(dataclasses.asdict(self._part(declared(self.name).Parameters)))

    def _part(self, kind: type[Any]) -> Any:  # noqa: ANN401
        return kind(**{field.name: self.own[field.name] for field in dataclasses.fields(kind)})


@dataclass(frozen=True)
class Key:
    """A key of a recommender's `model` section.

    Attributes:
        name: of the key.
        kind: type of its value.
        default: of the recommender's dataclass.
        text: its meaning.
    """

    name: str
    kind: Any
    default: Any
    text: str


def declared(name: str) -> RecommenderEntry:
    """Returns what is declared of a recommender.

    Raises:
        UnknownModelError: no recommender has this name.
    """
    if name not in RECOMMENDERS:
        known = f"there is {', '.join(RECOMMENDERS)}"
        raise UnknownModelError(f"no recommender is called {name!r}; {known}{did_you_mean(name, RECOMMENDERS)}")
    return RECOMMENDERS[name]


def keys(name: str) -> Iterator[Key]:
    """Yields the keys that a recommender adds to `model`.

    Raises:
        UnknownModelError: no recommender has this name.
    """
    texts = _TEXTS.get(name, {})
    for kind in (declared(name).Widths, declared(name).Parameters):
        types = get_type_hints(kind)
        for field in dataclasses.fields(kind):
            yield Key(
                field.name, types[field.name], field.default, texts.get(field.name, field.metadata.get("text", ""))
            )


def parse(value: object) -> Model:
    """Reads a `model` section that has all keys of its recommender.

    Raises:
        UnknownModelError: no recommender has this name.
        ValueError: it is not a mapping, or a key or a value is wrong.
    """
    if isinstance(value, Model):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("model_type", "a mapping is expected")
    name = value.get(NAME)
    if not isinstance(name, str):
        raise PydanticCustomError("model_name", "the recommender's name is missing")
    section = _section(name, tuple((key.name, key.kind) for key in keys(name))).model_validate(value)
    model = Model(**section.model_dump())
    try:
        model.widths()
        model.parameters()
    except ValueError as error:
        raise PydanticCustomError("model_value", "{reason}", {"reason": str(error)}) from error
    return model


_SIZE = Annotated[Whole, Field(ge=0, lt=2**32)]
_KINDS: dict[Any, Any] = {
    int: _SIZE,
    float: Annotated[float, BeforeValidator(number), Strict(), Field(allow_inf_nan=False)],
    tuple[int, ...]: Annotated[tuple[_SIZE, ...], Field(min_length=1)],
}


@functools.cache
def _section(name: str, kinds: tuple[tuple[str, Any], ...]) -> type[BaseModel]:
    fields: dict[str, Any] = {key: (_KINDS[kind], ...) for key, kind in kinds}
    return create_model(name, __config__=ConfigDict(extra="forbid"), name=(str, ...), **fields)
