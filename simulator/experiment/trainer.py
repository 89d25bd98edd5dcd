"""The rounds of one run: trained, evaluated, kept, and told."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from simulator.config.config import Config
from simulator.datasets import Attribute
from simulator.engines.engine import RoundEngine, RoundReport
from simulator.evaluation.held_out import Evaluation
from simulator.experiment import assembly, resume
from simulator.experiment.resume import Standing
from simulator.population.population import Population
from simulator.reporting.tracking import Tracker
from simulator.unlearning.baselines import Apm


class Progress(Protocol):
    """Told how far a run is."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """A phase of `total` parts begins, of which some are done already."""

    def advance(self, text: str = "") -> None:
        """One part is done; text says how it stands."""


@dataclass(frozen=True, eq=False)
class Trainer:
    """What one run trains and looks at.

    Attributes:
        config: the configuration.
        attributes: those to unlearn, by name, as the clients told them.
        engine: trains rounds.
        population: the clients.
        evaluation: ranks held-out items.
        folder: of the run.
        apm: adapts the clients' noise, if that is asked for.
        trackers: are told what is trained.
    """

    config: Config
    attributes: Mapping[str, Attribute]
    engine: RoundEngine
    population: Population
    evaluation: Evaluation
    folder: Path
    apm: Apm | None = None
    trackers: Sequence[Tracker] = ()

    def train(self, progress: Progress) -> Standing:
        """All rounds, from where the run was left."""
        standing = resume.restore(self.folder, self.engine, self.population)
        best, rows = standing.best, standing.rows
        progress.start("training", self.config.rounds, len(rows))
        self._adapt()
        for number in range(len(rows), self.config.rounds):
            started = (time.perf_counter(), time.process_time())
            trained = self.engine.train_round(assembly.cohort(self.config, number, len(self.population)))
            elapsed = (time.perf_counter() - started[0], time.process_time() - started[1])
            rows.append(self._row(number, trained, *elapsed))
            if (number + 1) % self.config.evaluate_every == 0 or number + 1 == self.config.rounds:
                rows[-1] |= self._evaluate(number + 1, best) | self._adapt()
                resume.save(self.folder, self.config, self.engine, self.population, standing)
                for tracker in self.trackers:
                    tracker.rounds(rows)
            progress.advance(f"best NDCG@10 {best.ndcg:.3f}" if best.round else "")
        return standing

    def _row(self, number: int, trained: RoundReport, seconds: float, cpu: float) -> dict[str, Any]:
        row = {
            "round": number + 1,
            "clients": len(trained.members),
            "loss": float(trained.report.loss.mean()),
            "seconds": seconds,
            "cpu_seconds": cpu,
        }
        for prefix, name, attribute in assembly.prefixed(self.attributes):
            rates = [
                trained.trigger_rate(adversary.name, attribute.labels, attribute.classes)
                for adversary in self.evaluation.task.plan.adversaries
                if adversary.attribute == name
            ]
            for value in rates[0] if rates else ():
                row[f"{prefix}trigger_rate_{value}"] = float(np.mean([each[value] for each in rates]))
        return row

    def _evaluate(self, trained: int, best: resume.Best) -> dict[str, float]:
        private = self.population.state.values
        metrics = self.evaluation.validation(self.engine.checkpoint, private)
        best.offer(trained, metrics["ndcg@10"], self.engine.checkpoint, private)
        return metrics

    def _adapt(self) -> dict[str, float]:
        # A run that goes on adapts to the state that it finds, which is the one that it adapted to when it was saved.
        if self.apm is None:
            return {}
        states = self.population.state.values
        if not states:
            states = self.evaluation.scorer(self.engine.checkpoint, {}).embedding()
        return {f"vulnerability_{name}": value for name, value in self.apm.adapt(states).items()}
