"""The schema of a plan: every setting of a plan file with its type, range, unit and meaning.

The models are immutable and have no defaults: `export.plan.defaults` has them all. A value that depends on data may be
a word (`class_weights: balanced`), which `export.plan.resolve` replaces by numbers where the data is known.
"""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, create_model
from pydantic.fields import FieldInfo

from export.plan import recommenders
from export.plan.eraser import Erased, EraserSettings
from export.plan.matching import Matchings, MatchingSettings
from export.plan.types import (
    ALL,
    ClassWeights,
    Count,
    Flag,
    Head,
    InteractionWeight,
    Kind,
    Number,
    Objective,
    Positive,
    Prior,
    Protects,
    Rating,
    Scale,
    Section,
    Text,
    Trigger,
    Whole,
    entries,
    setting,
    unit_of,
)
from fedau2.wire import staleness
from fedau2.wire.passes import MOST as MOST_PASSES
from fedau2.wire.plans import MAX_STEPS, MAX_WIDTH


class Local(Section):
    """The computation of a device in a round."""

    steps: Whole = setting(
        "Local steps over one pass of the interactions. With 1 the device uploads the gradient.", ge=1, le=MAX_STEPS
    )
    negatives: Count = setting("Negatives drawn for each positive.")
    chunk: Count = setting("The recommendation loss is the sum over chunks of the chunk's mean.", "samples")
    private_learning_rate: Positive = setting("Learning rate of the Adam on private tensors, which stay on the device.")
    shared_learning_rate: Positive = setting(
        "Learning rate of the local SGD on shared tensors, where steps is above 1."
    )
    cover_rows: Scale = setting(
        "Rows of other items that the device adds to its contribution to tables.", "rows for each row of its own"
    )


class Interactions(Section):
    """The weights of recorded interactions in training, by kind. A dislike is never a positive."""

    view: InteractionWeight = setting("Weight of a view; 0: it is not a positive.")
    like: InteractionWeight = setting("Weight of a like.")
    purchase: InteractionWeight = setting("Weight of a purchase.")
    rating: InteractionWeight = setting("Weight of a rating.")
    lowest_rating: Rating = setting("Lowest rating that is a positive.")
    full_rating: Rating = setting(
        "Rating that counts in full; a lower one counts in proportion to it; 0: all count in full."
    )
    app_weights: Flag = setting("True multiplies the weights by those that apps give to single interactions.")


class AdversarySettings(Section):
    """An adversary: a classifier that predicts an attribute, and how the attribute is unlearned with it."""

    head: Head = setting("The adversary's last layer.")
    trigger: Trigger = setting("When the reversed gradient reaches the protected state.")
    variance: Positive = setting("Lambda: variance of the multiplicative noise of the heads dsvae and scalar.")
    epsilon: Scale = setting("Scale of what is added to the protected state's gradient.")
    pretrain_rounds: Annotated[Whole, Field(ge=0, lt=2**64)] = setting(
        "First round in which trigger pretrain fires.", "rounds"
    )
    objective: Objective = setting(
        "reversal (the paper's, gated by the trigger) or confusion (towards the prior, whatever the label; no trigger)."
    )
    width: Annotated[Count, Field(le=MAX_WIDTH)] = setting("Hidden units of the adversary.")
    restart_every: Annotated[Whole, Field(ge=0, lt=2**32)] = setting(
        "The server draws the adversary anew after so many steps of the recommender; 0: never. Adversaries of one "
        "attribute take turns.",
        "steps of the recommender",
    )
    protects: Protects = setting(
        "What the adversary sees: the paper's embedding; all private tensors; each of them by an adversary of its own; "
        "or names of states."
    )
    class_weights: ClassWeights = setting(
        "Weights of the classes in the adversary's cross-entropy: none; balanced, inverse to their frequencies; or a "
        "number for each class."
    )
    prior: Prior = setting(
        "Target of objective confusion: the classes' shares among the users; uniform; or a number for each class."
    )
    clip_norm: Scale = setting(
        "The device scales a longer contribution to the adversary down to this before it is sent; 0 never.", "L2 norm"
    )
    noise_multiplier: Scale = setting(
        "Standard deviation of the Gaussian noise that the device adds to that contribution.", "clip_norm"
    )


class Entry(Section):
    """An entry of `adversaries`. It may have every setting of `adversary` too, which holds for it alone."""

    attribute: Text = setting("The attribute that the adversary predicts.")
    name: Text | None = setting(
        "Name of the adversary, unique in the plan; left out, that of the attribute.", default=None
    )
    classes: Annotated[tuple[Text, ...], Field(min_length=2)] | None = setting(
        "The attribute's values in label order; left out in a run, those of its data.", default=None
    )

    def own(self) -> dict[str, Any]:
        """Returns the settings of `adversary` that the entry has of its own."""
        values = {name: getattr(self, name, None) for name in AdversarySettings.model_fields}
        return {name: value for name, value in values.items() if value is not None}


def _optional(field: FieldInfo) -> tuple[Any, Any]:
    kind: Any = Annotated[field.annotation, field, *field.metadata]
    return kind | None, setting(str(field.description), unit_of(field), default=None)


if TYPE_CHECKING:
    Adversary = Entry
else:
    Adversary = create_model(
        "Adversary",
        __base__=Entry,
        __module__=__name__,
        __doc__=Entry.__doc__,
        **{name: _optional(field) for name, field in AdversarySettings.model_fields.items()},
    )


Adversaries = Annotated[
    tuple[Adversary, ...] | None,
    BeforeValidator(entries),
    PlainSerializer(lambda value: ALL if value is None else [entry.model_dump(exclude_none=True) for entry in value]),
]


class Optimizer(Section):
    """A server optimizer (FedOpt)."""

    kind: Kind = setting("Family of the optimizer.")
    learning_rate: Positive = setting("Learning rate.")
    beta1: Annotated[Number, Field(ge=0, lt=1)] = setting("Adam: decay of the first moment.")
    beta2: Annotated[Number, Field(ge=0, lt=1)] = setting("Adam: decay of the second moment.")
    epsilon: Positive = setting("Adam: added to the root of the second moment.")
    noise_corrected: Flag = setting(
        "Adam: takes the noise on secure sums off the second moment; no effect without such noise."
    )


class Server(Section):
    """The server's step on the averaged contributions."""

    shared: Optimizer = setting("Optimizer of the recommender's shared tensors.")
    adversary: Optimizer = setting("Optimizer of the adversaries' tensors.")
    clip_norm: Scale = setting(
        "The server scales a longer contribution down to this before it is added; 0 never.", "L2 norm"
    )
    clip_medians: Scale = setting(
        "The server also scales it down to this many running medians of contributions' norms; 0 never.", "medians"
    )
    most_stale: Annotated[Whole, Field(ge=0, le=staleness.MOST)] = setting(
        "A contribution still counts if at most this many rounds were committed since its check-in; 0: in its own "
        "round alone.",
        "rounds",
    )
    staleness_exponent: Annotated[Number, Field(ge=0, le=staleness.MOST_EXPONENT)] = setting(
        "A contribution that is s rounds late is multiplied by (1 + s) to minus this."
    )
    passes: Annotated[Whole, Field(ge=0, le=MOST_PASSES)] = setting(
        "Rounds after each step of the recommender in which only adversaries, matchings and the eraser learn.", "rounds"
    )


class Plan(Section):
    """A plan, complete: nothing is left out, and words still stand for what the data decides."""

    model: Annotated[
        recommenders.Model, PlainValidator(recommenders.parse), PlainSerializer(lambda model: model.document())
    ] = setting("The recommender, its widths and its own parameters.")
    local: Local = setting("What a device computes in a round.")
    adversary: AdversarySettings = setting("What every adversary has unless its own entry says otherwise.")
    adversaries: Adversaries = setting(
        "The adversaries: all, one for each attribute of a run's data; none, the Original; or a list of entries."
    )
    matching: MatchingSettings = setting("What every matching has.")
    matchings: Matchings = setting(
        "The matchings: all, one for each attribute of a run's data; none; or a list of entries."
    )
    eraser: EraserSettings = setting("The eraser of the attributes in `erased`.")
    erased: Erased = setting(
        "What is erased by maps that devices apply: all attributes of a run's data; none; or a list of entries."
    )
    server: Server = setting("The server's step on the averaged contributions.")
    interactions: Interactions = setting("The weights of recorded interactions in training, by kind.")
    minimum_separation: Annotated[Whole, Field(ge=0, lt=2**32)] = setting(
        "Fewest rounds from one contribution of a device to its next, kept by the device; 0 and 1: once a round.",
        "rounds",
    )

    def heads(self) -> tuple[str, ...]:
        """Returns the heads of the adversaries, each once; the Original has none."""
        if self.adversaries is None:
            return (self.adversary.head,)
        return tuple(dict.fromkeys(self.settings(entry).head for entry in self.adversaries))

    def settings(self, entry: Entry) -> AdversarySettings:
        """Returns the settings of an entry of `adversaries`: its own before those of `adversary`."""
        return self.adversary.model_copy(update=entry.own())

    def document(self) -> dict[str, Any]:
        """Returns the plan as a plan file holds it."""
        return self.model_dump(mode="json")
