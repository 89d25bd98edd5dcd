"""Trains, evaluates and saves the rounds of one run, and reports them to its trackers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from simulator.config.sections import EngineSettings
from simulator.datasets import Attribute
from simulator.engines.engine import RoundEngine, RoundReport
from simulator.evaluation.held_out import Evaluation
from simulator.experiment import assembly, resume
from simulator.experiment.resume import Standing
from simulator.population.population import Population
from simulator.reporting.trackers.contract import Tracker
from simulator.unlearning.baselines import Apm


class Progress(Protocol):
    """Receives how far a run is."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Begins a phase of `total` parts; `done` parts are done already."""

    def advance(self, text: str = "") -> None:
        """Counts one part as done; the text says how the run stands."""


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains the rounds of one run.

    Attributes:
        settings: rounds and cohorts.
        evaluate_every: rounds between evaluations.
        attributes: those to unlearn, by name, as far as they are known.
        engine: trains rounds.
        population: the clients.
        evaluation: ranks held-out items.
        apm: adapts the clients' noise, if that baseline is run.
        trackers: receive the rounds.
    """

    settings: EngineSettings
    evaluate_every: int
    attributes: Mapping[str, Attribute]
    engine: RoundEngine
    population: Population
    evaluation: Evaluation
    apm: Apm | None = None
    trackers: Sequence[Tracker] = ()

    def train(self, standing: Standing, save: Callable[[Standing], None], progress: Progress) -> None:
        """Trains all rounds that are left.

        Args:
            standing: where the run was left; it is moved on.
            save: saves it, at every evaluation.
            progress: receives how far training is.
        """
        best, rows = standing.best, standing.rows
        where = "" if self.settings.device == "cpu" else f" by PyTorch on {self.settings.device}"
        progress.start(f"training{where}", self.settings.rounds, len(rows))
        self._adapt()
        for number in range(len(rows), self.settings.rounds):
            started = (time.perf_counter(), time.process_time())
            trained = self.engine.train_round(assembly.cohort(self.settings, number, len(self.population)))
            elapsed = (time.perf_counter() - started[0], time.process_time() - started[1])
            rows.append(self._row(number, trained, *elapsed))
            if (number + 1) % self.evaluate_every == 0 or number + 1 == self.settings.rounds:
                rows[-1] |= self._evaluate(number + 1, best) | self._adapt()
                save(standing)
                for tracker in self.trackers:
                    tracker.rounds(rows)
            progress.advance(f"best NDCG@10 {best.ndcg:.3f}" if best.round else "")

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
                row[f"{prefix}trigger_rate_{value}"] = float(np.mean([rate[value] for rate in rates]))
        return row

    def _evaluate(self, trained: int, best: resume.Best) -> dict[str, float]:
        private = self.population.state.values
        metrics = self.evaluation.validation(self.engine.checkpoint, private, trained)
        if best.offer(trained, metrics["ndcg@10"], self.engine.checkpoint, private) and self.evaluation.personal:
            # Now, because personal steps start from Adam's moments too, which are not kept of the chosen state.
            best.ranks = self.evaluation.test_ranks(self.engine.checkpoint, private, trained)
        return metrics

    def _adapt(self) -> dict[str, float]:
        # A run that goes on adapts to the state that it finds, which is the one that it adapted to when it was saved.
        if self.apm is None:
            return {}
        states = self.population.state.values
        if not states:
            states = self.evaluation.scorer(self.engine.checkpoint, {}).embedding()
        return {f"vulnerability_{name}": value for name, value in self.apm.adapt(states).items()}
