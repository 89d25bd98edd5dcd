"""The recommenders by the name that a manifest gives. Importing this module loads no PyTorch.

`RECOMMENDERS[name]` has the recommender's `Widths` and `Parameters`; its `model` loads PyTorch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, get_type_hints

from client_sdk.errors import UnsupportedTaskError
from client_sdk.kernel import (
    fcf_parameters,
    fedgnn_parameters,
    fedncf_parameters,
    fedrap_parameters,
    fedvae_parameters,
    pfedrec_parameters,
)
from client_sdk.plan import TrainingPlan
from fedau2.plugins import PluginError, Registry
from fedau2.v1.task_pb2 import TaskManifest

if TYPE_CHECKING:
    from torch import Tensor

    from client_sdk.kernel.contract import Recommender


@dataclass(frozen=True)
class NoParameters:
    """The `Parameters` of a recommender that has none of its own."""


@dataclass(frozen=True)
class RecommenderEntry:
    """A recommender: its settings, and where its functions are.

    Attributes:
        load: imports the module with the recommender's functions, and returns it.
        Widths: a frozen dataclass of the sizes of its tensors, whole numbers or tuples of them, with defaults.
        Parameters: a frozen dataclass of its own hyper-parameters, each an `int` or a `float` with a default.
        ignores: settings of a plan's `local` that the recommender has no use for.
        usual: values of a plan's settings that differ from the common defaults, by dotted path; for plug-ins.

    Both dataclasses raise ValueError, in `__post_init__`, for values that cannot be used.
    """

    load: "Callable[[], Recommender]"
    Widths: type[Any]
    Parameters: type[Any] = NoParameters
    ignores: tuple[str, ...] = ()
    usual: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def model(self) -> "Recommender":
        """The recommender's functions."""
        return self.load()

    def parameters(self, values: Mapping[str, float]) -> Any:  # noqa: ANN401 - each has its own
        """Makes the recommender's `Parameters` of numbers by name. None may be missing.

        Raises:
            ValueError: a parameter is missing, not known, or has a value that cannot be used.
        """
        types = get_type_hints(self.Parameters)
        if missing := sorted(types.keys() - values.keys()):
            raise ValueError(f"the plan lacks the recommender's parameter {missing[0]!r}")
        if unknown := sorted(values.keys() - types.keys()):
            names = f"its parameters are {', '.join(types)}" if types else "it has no parameters"
            raise ValueError(f"the recommender does not know the parameter {unknown[0]!r}; {names}")
        return self.Parameters(**{name: _number(name, value, types[name]) for name, value in values.items()})

    def of_tensors(self, tensors: "Mapping[str, Tensor]") -> Any:  # noqa: ANN401 - each has its own
        """Makes the recommender's `Parameters` with tensors in place of numbers, to make a graph of its gradients.

        The values are not checked: tensors of a graph have no values yet.
        """
        parameters = object.__new__(self.Parameters)
        for name, tensor in tensors.items():
            object.__setattr__(parameters, name, tensor)
        return parameters

    def defaults(self) -> dict[str, float]:
        """The default of each of the recommender's parameters."""
        parameters = self.Parameters()
        return {field.name: getattr(parameters, field.name) for field in fields(parameters)}


def _number(name: str, value: float, expected: type) -> float:
    if expected is float:
        return float(value)
    if not float(value).is_integer():
        raise ValueError(f"{name} must be a whole number, not {value}")
    return int(value)


def _fedncf() -> "Recommender":
    from client_sdk.kernel import fedncf

    return fedncf


def _fedrap() -> "Recommender":
    from client_sdk.kernel import fedrap

    return fedrap


def _fedvae() -> "Recommender":
    from client_sdk.kernel import fedvae

    return fedvae


def _fedgnn() -> "Recommender":
    from client_sdk.kernel import fedgnn

    return fedgnn


def _fcf() -> "Recommender":
    from client_sdk.kernel import fcf

    return fcf


def _pfedrec() -> "Recommender":
    from client_sdk.kernel import pfedrec

    return pfedrec


RECOMMENDERS: Registry[RecommenderEntry] = Registry(
    "recommenders",
    RecommenderEntry,
    {
        "fedncf": RecommenderEntry(_fedncf, fedncf_parameters.Widths),
        "fedrap": RecommenderEntry(_fedrap, fedrap_parameters.Widths, fedrap_parameters.Parameters),
        "fedvae": RecommenderEntry(
            _fedvae,
            fedvae_parameters.Widths,
            fedvae_parameters.Parameters,
            ignores=("negatives", "chunk", "private_learning_rate"),
        ),
        "fcf": RecommenderEntry(_fcf, fcf_parameters.Widths),
        "pfedrec": RecommenderEntry(_pfedrec, pfedrec_parameters.Widths),
        "fedgnn": RecommenderEntry(
            _fedgnn, fedgnn_parameters.Widths, fedgnn_parameters.Parameters, ignores=("negatives", "chunk")
        ),
    },
)


def declared(name: str) -> RecommenderEntry:
    """The recommender of this name.

    Raises:
        UnsupportedTaskError: this SDK has no such recommender.
    """
    try:
        if name in RECOMMENDERS:
            return RECOMMENDERS[name]
        known = ", ".join(RECOMMENDERS)
    except PluginError as error:
        raise UnsupportedTaskError(f"model {name!r} is not known, and {error}") from error
    raise UnsupportedTaskError(f"model {name!r} is not known; this SDK has {known}")


def plan_of(task: TaskManifest) -> TrainingPlan[Any]:
    """The plan of a task, with its recommender's `Parameters`.

    Raises:
        UnsupportedTaskError: the recommender is not known, or the plan's parameters are not what it takes.
    """
    plan = TrainingPlan.of(task)
    try:
        return replace(plan, parameters=declared(task.model).parameters(plan.parameters))
    except ValueError as error:
        raise UnsupportedTaskError(f"the plan cannot be run with {task.model}: {error}") from error
