"""The attacks on what everybody sees of a model: its outputs. See `attacking_maps` for what unlearning publishes."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.datasets import Attribute
from simulator.evaluation import attacked_states, attacked_users
from simulator.evaluation.attack_results import Figure, Largest
from simulator.evaluation.attacked_outputs import Outputs
from simulator.evaluation.attackers import LIGHT, attack
from simulator.evaluation.ranking import ndcg, rank_all
from simulator.experiment.asked import Asked
from simulator.experiment.train import Trained


def on_outputs(
    trained: Trained, attribute: Attribute, name: str, asked: Asked, notify: Callable[[], None]
) -> dict[str, Any]:
    """Attacks an output of the measured state: the most that a linear family reads; see `attackers.attack`."""
    split, classes = trained.evaluation.split, len(attribute.classes)
    scorer, items = trained.measured.scorer(trained.evaluation), trained.bundle.manifest.items
    users = attacked_users.sample(attribute.labels, classes, asked.seed, asked.users)
    features = Outputs(scorer, users, split.seen, split.train, items).features(name)
    most = largest(features, attribute.labels[users], LIGHT, classes, asked, notify)
    found = figures(name, {"bacc": most.bacc, "auc": most.auc})
    if name != "top10_seen":
        return found
    ranked = trained.evaluation.users
    nothing: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(ranked)

    def of_ranked(places: NDArray[np.int64]) -> NDArray[np.float32]:
        return scorer(ranked[places])

    ranks = rank_all(of_ranked, split.test[ranked], split.candidates(ranked)[1], nothing)
    return found | {"shown_ndcg@10_seen": ndcg(ranks.full, 10)}


def largest(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    attacker: str,
    classes: int,
    asked: Asked,
    notify: Callable[[], None],
) -> Largest:
    """Returns the most that a family of an attacker reads."""
    most = attack(features, labels, attacker, **asked.keywords(classes), notify=notify).largest
    assert most is not None  # the attacker has several families
    return most


def figures(name: str, measured: Mapping[str, Figure]) -> dict[str, Any]:
    """Names the figures of an attack, by measure."""
    return {
        key: value
        for measure, figure in measured.items()
        for key, value in attacked_states.named(measure, figure, name).items()
    }
