"""Measures rounds that wait, rounds with over-selection and buffered rounds, in a fleet with slow devices.

    python scripts/asynchrony.py --data-dir data

Every device is a real session against a real coordinator, and times are simulated: a device takes 0.5 to 1.5 units, and
a slow one ten times as long. All ways end with equally many contributions. The table says how long that took, which
part of the devices' time was spent on nothing, how late contributions were, and how well the model ranks.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from export.bundle import Bundle, from_plan
from fedau2.v1.task_pb2 import BufferedRounds, ClosingRule
from fedau2.wire import staleness
from simulator.config.config import Config
from simulator.datasets.split import leave_one_out
from simulator.engines import task_creation
from simulator.engines.asynchronous import AsynchronousFleet, Speeds
from simulator.engines.connections import InProcessConnection
from simulator.evaluation.held_out import Evaluation
from simulator.experiment import assembly, run_data
from simulator.population import public_randomness


@dataclass(frozen=True)
class Way:
    """A way to close rounds.

    Attributes:
        name: in the table.
        devices: devices that are on their way at the same time.
        goal: contributions of a round.
        most_stale: of the plan; 0: rounds are not buffered.
        exponent: of the plan.
    """

    name: str
    devices: int
    goal: int
    most_stale: int = 0
    exponent: float = 0.5

    def bundle(self, bundle: Bundle) -> Bundle:
        """Returns the task with this way's plan."""
        task = type(bundle.manifest).FromString(bundle.manifest.SerializeToString())
        if self.most_stale:
            buffered = BufferedRounds(staleness_exponent=self.exponent, most_stale=self.most_stale)
            task.plan.server.buffered.CopyFrom(buffered)
            task.required_features.append(staleness.FEATURE)
        return Bundle(task, bundle.blobs)

    def rule(self) -> ClosingRule:
        """Returns the closing rule. A round that is not buffered has a place for each device, and no more."""
        rule = task_creation.closing(self.goal, self.devices)
        if not self.most_stale:
            rule.over_selection = self.devices / self.goal - 1
        return rule


def ways(devices: int, buffer: int) -> list[Way]:
    """Returns the ways that are compared."""
    return [
        Way("waits for all", devices, devices),
        Way("over-selected by 30%", devices, round(devices / 1.3)),
        Way(f"waits for all of {buffer} devices", buffer, buffer),
        Way("buffered", devices, buffer, 100),
        Way("buffered, all count in full", devices, buffer, 100, 0.0),
        Way("buffered, at most 5 rounds late", devices, buffer, 5),
    ]


def main() -> None:
    """Runs every way, and prints the table."""
    parser = argparse.ArgumentParser(description="Compares ways to close rounds in a fleet with slow devices.")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set")
    parser.add_argument("--dataset", default="ml-100k", help="data set (%(default)s)")
    parser.add_argument("--model", default="fedncf", help="recommender (%(default)s)")
    parser.add_argument("--devices", type=int, default=100, help="devices on their way (%(default)s)")
    parser.add_argument("--buffer", type=int, default=20, help="contributions of a buffered round (%(default)s)")
    parser.add_argument("--contributions", type=int, default=10_000, help="of each way (%(default)s)")
    parser.add_argument("--slow", type=float, default=0.1, help="share of slow devices (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (%(default)s)")
    options = parser.parse_args()
    print("| rounds | steps | time | per unit | idle | for nothing | mean lateness | NDCG@10 | HR@10 |")
    print("|---" * 9 + "|")
    for way in ways(options.devices, options.buffer):
        print(measured(way, options), flush=True)


def measured(way: Way, options: argparse.Namespace) -> str:
    """Trains in one way; returns a row of the table."""
    config = Config.of(
        {
            "plan.model.name": options.model,
            "plan.adversaries": "none",
            "data.dataset": options.dataset,
            "engine.rounds": 1,
            "engine.seed": options.seed,
        }
    )
    dataset = run_data.dataset_of(config.data, options.seed, options.data_dir)
    split = leave_one_out(dataset, config.evaluation.split)
    bundle = from_plan(assembly.plan_of(config.plan, {}), dataset.items, options.seed, training=False)
    population = assembly.population_of(bundle, options.seed, split.train, {})
    rounds = options.contributions // way.goal
    with tempfile.TemporaryDirectory() as folder:
        connect = partial(InProcessConnection.open, Path(folder) / "state")
        speeds = Speeds(options.seed, len(population), options.slow)
        fleet = AsynchronousFleet.start(
            connect, way.bundle(bundle), population, way.devices, rounds, rule=way.rule(), speeds=speeds
        )
        try:
            for number in range(rounds):
                drawn = public_randomness.generator("cohort", options.seed, number).permutation(len(population))
                fleet.train_round(drawn[: way.devices])
            metrics = Evaluation(bundle.manifest, split).validation(fleet.checkpoint, population.state.values)
            return _row(way, fleet, rounds, metrics)
        finally:
            fleet.close()


def _row(way: Way, fleet: AsynchronousFleet, rounds: int, metrics: Mapping[str, float]) -> str:
    spent = fleet.account
    available = spent.time * way.devices
    late = sum(rounds_late * count for rounds_late, count in spent.staleness.items())
    cells = [
        way.name,
        f"{rounds}",
        f"{spent.time:,.0f}",
        f"{spent.counted / spent.time:.1f}",
        f"{1 - (spent.useful + spent.wasted) / available:.0%}",
        f"{spent.refused / (spent.counted + spent.refused):.1%}",
        f"{late / spent.counted:.2f}",
        f"{metrics['ndcg@10']:.4f}",
        f"{metrics['hr@10']:.4f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
