"""Sets attribute attackers on the measured private state, as a thief of it would."""

import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from simulator.attacks.aims import Learns
from simulator.audit import scores
from simulator.audit.request import PRIVATE, Request
from simulator.audit.runner import Finding
from simulator.evaluation.attacked_states import AttackedStates
from simulator.evaluation.attackers import ATTACKERS, trials
from simulator.experiment.attack_progress import Splits
from simulator.experiment.train import Trained


def parts(request: Request, trained: Trained) -> int:
    """Counts the splits of the attackers, with those of their nulls."""
    return len(_states(request, trained)) * len(trained.attributes) * len(ATTACKERS) * trials(request.splits)


def attack(request: Request, trained: Trained, counted: Splits) -> list[Finding]:
    """Attacks every attribute with every attacker, on the embedding and on all private state.

    Args:
        request: the request.
        trained: the run.
        counted: receives the splits.
    """
    findings = []
    for name, attribute in trained.attributes.items():
        for state, features in _states(request, trained).items():
            for attacker in ATTACKERS:
                started, label = time.process_time(), f"{PRIVATE}-{state}-{attacker}"
                counted.begin(label, trials(request.splits))
                classes, seed = len(attribute.classes), request.config.engine.seed
                score = scores.learned(
                    features, attribute.labels, attacker, classes, request.splits, seed, counted.split
                )
                spent = time.process_time() - started
                findings.append(Finding(label, Learns.FEATURES.value, name, 0, score, spent))
    counted.end()
    return findings


def _states(request: Request, trained: Trained) -> Mapping[str, NDArray[np.float32]]:
    if not request.private:
        return {}
    measured = trained.measured
    attacked = AttackedStates.of(measured.scorer(trained.evaluation), measured.private)
    if attacked.private is attacked.embedding:
        return {"embedding": attacked.embedding}
    return {"embedding": attacked.embedding, "all": attacked.private}
