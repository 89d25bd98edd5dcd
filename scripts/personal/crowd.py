"""A population that trains, some of it or all of it, and takes personal steps on the kernel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client_sdk.kernel.training import Task
from export.bundle import Bundle, from_plan
from fedau2.v1.task_pb2 import Objective
from fedau2.wire import blobs
from fedau2.wire.blobs import Tensors
from simulator.config.config import Config
from simulator.config.presets import preset
from simulator.datasets.split import Split, leave_one_out
from simulator.engines.batched import BatchedEngine
from simulator.engines.engine import RoundEngine
from simulator.evaluation.ranking import Ranks, rank_all
from simulator.evaluation.scoring import Scorer
from simulator.experiment import assembly, run_data
from simulator.population import personal, public_randomness
from simulator.population.population import Members, Population


@dataclass(frozen=True)
class Setting:
    """A task on a data set, and how it is trained.

    Attributes:
        dataset: its name.
        data_dir: where it is.
        item_core: different users that each item has at least.
        attribute: the attribute that is unlearned and attacked.
        model: the recommender.
        preset: the method.
        rounds: rounds of training.
        seed: of everything that is drawn.
        balance: True if the users are cut to equally many of each class, as attackers do it in any case.
    """

    dataset: str
    data_dir: Path | None
    item_core: int
    attribute: str
    model: str
    preset: str
    rounds: int
    seed: int
    balance: bool = False

    def config(self) -> Config:
        """The simulator's configuration of it."""
        data = {"dataset": self.dataset, "item_core": self.item_core, "attributes": [self.attribute]}
        data["balance"] = self.balance
        own = {"plan.model.name": self.model, "data": data, "engine.rounds": self.rounds, "engine.seed": self.seed}
        return Config.of({"plan.model.name": self.model}, preset(self.preset, self.model), own)


class Crowd:
    """The clients of a setting before their first round.

    Attributes:
        setting: as above.
        split: the held-out items.
        labels: the attribute's class numbers, -1 where it is not known.
        classes: number of classes.
        bundle: the task, with its training graph.
    """

    def __init__(self, setting: Setting) -> None:
        config = setting.config()
        dataset = run_data.dataset_of(config.data, setting.seed, setting.data_dir)
        self._attributes = assembly.attackable(config.data.attributes, dataset)
        (attribute,) = self._attributes.values()
        self.setting, self.labels, self.classes = setting, attribute.labels, len(attribute.classes)
        self.split: Split = leave_one_out(dataset)
        plan = assembly.plan_of(config.plan, self._attributes)
        self.bundle: Bundle = from_plan(plan, dataset.items, setting.seed, training=True)
        self._engine_settings = config.engine

    def population(self, seed: int | None = None) -> Population:
        """Makes the clients anew; with another seed they are other devices of the same users."""
        chosen = self.setting.seed if seed is None else seed
        return assembly.population_of(self.bundle, chosen, self.split.train, self._attributes)

    def engine(self, population: Population) -> BatchedEngine:
        """Makes the engine that trains them."""
        checkpoint = blobs.unpack(self.bundle.blob(self.bundle.manifest.checkpoint))
        return BatchedEngine(self.bundle.manifest, checkpoint, population, workers=1)

    def train(
        self,
        engine: RoundEngine,
        members: Members,
        before: Callable[[int, Members], None] = lambda number, cohort: None,
    ) -> Tensors:
        """Trains all rounds with cohorts of these clients, and returns the last checkpoint.

        Args:
            engine: trains.
            members: the clients that take part.
            before: called with the number and the cohort of each round before it.
        """
        for number in range(self.setting.rounds):
            rng = public_randomness.generator("cohorts", self.setting.seed, number)
            size = assembly.cohort_size(self._engine_settings, len(members))
            cohort = np.sort(rng.choice(members, size, replace=False))
            before(number, cohort)
            engine.train_round(cohort)
        return engine.checkpoint

    def ranks(self, checkpoint: Tensors, population: Population, members: Members) -> Ranks:
        """Ranks the test items of some clients."""
        values = {name: column[members] for name, column in population.state.values.items()}
        histories = [self.split.train[member] for member in members]
        scorer = Scorer(self.bundle.manifest, checkpoint, values, histories)
        return rank_all(scorer, self.split.test[members], self.split.candidates(members)[1], self.seen(members))

    def seen(self, members: Members) -> list[np.ndarray]:
        """The items that the full ranking leaves out, by client."""
        return [np.append(self.split.train[member], self.split.validation[member]) for member in members]


def personalise(
    population: Population,
    task: Task,
    round_number: int,
    members: Members,
    numbers: Sequence[int],
    unlearn: bool = True,
) -> None:
    """Takes personal steps with some clients, as their devices would; only their private state moves.

    Args:
        population: the clients.
        task: the model.
        round_number: rounds that it has been trained for.
        members: those that take steps.
        numbers: of the steps.
        unlearn: True if the adversaries' gradients reach the private state where the attribute is known.
    """
    followed = Objective.values() if unlearn else ()
    population.put(members, personal.stepped(population, task, round_number, members, numbers, followed))
