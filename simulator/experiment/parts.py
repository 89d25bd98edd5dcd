"""The parts of a run that its configuration and its data set decide: attributes, plan, task and split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from client_sdk.protocol import defences
from client_sdk.weights import Weights
from export.bundle import Bundle, from_plan
from export.plan.message import to_message
from export.plan.schema import Plan
from simulator.config.config import Config
from simulator.config.sections import EngineSettings
from simulator.datasets import Attribute, Dataset
from simulator.datasets.split import Split, leave_one_out
from simulator.experiment import assembly


def needs_graphs(engine: EngineSettings, plan: Plan) -> bool:
    """Returns True if a run's task is to have the graphs by which devices recommend.

    A fleet's devices need them. Noise on contributions is keyed by the whole manifest, so with it the task of a batched
    run has them too, and its noise is that of the same fleet.
    """
    return engine.name == "fleet" or defences.active(to_message(plan))


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a run.

    Attributes:
        attributes: those to unlearn and to attack, by name.
        known: the same without the labels of clients whose attributes are unknown.
        plan: resolved.
        bundle: the task, without a policy of secure sums.
        split: the interactions that clients train on, and those that are held out.
    """

    attributes: Mapping[str, Attribute]
    known: Mapping[str, Attribute]
    plan: Plan
    bundle: Bundle
    split: Split

    @classmethod
    def of(cls, config: Config, dataset: Dataset) -> Self:
        """Makes the parts of a configuration that has been checked.

        Raises:
            SimulatorError: the configuration or the data set cannot be used.
        """
        engine = config.engine
        attributes = assembly.attackable(config.data.attributes, dataset)
        known = assembly.known(attributes, config.data.unknown, engine.seed)
        plan = assembly.plan_of(config.plan, known)
        bundle = from_plan(
            plan, dataset.items, engine.seed, training=engine.trainer == "onnx", serving=needs_graphs(engine, plan)
        )
        split = leave_one_out(dataset, config.evaluation.split, Weights.of(bundle.manifest.plan))
        return cls(attributes, known, plan, bundle, split)
