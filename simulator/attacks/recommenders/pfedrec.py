"""Attacks on PFedRec's own tensors. They take one local step, so a plan with the usual two is not attacked by them."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from simulator.attacks.contract import Contribution
from simulator.attacks.recommenders import lines
from simulator.attacks.recommenders.contract import Impossible, RecommenderAttacks

_TABLE = "item_vector"


def trained_rows(task: Task, contribution: Contribution) -> NDArray[np.int64]:
    """Takes the rows that samples explain."""
    return lines.read(task, contribution, _TABLE, biased=True).trained


def weight(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Reads the score function's weights from the line on which all rows lie, and from their places on it."""
    return lines.read(task, contribution, _TABLE, biased=True).vector


def bias(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Reads the score function's bias from the places of the rows on their line."""
    return np.array([lines.read(task, contribution, _TABLE, biased=True).bias], np.float32)


ATTACKS = RecommenderAttacks(
    trained_rows=trained_rows,
    pulls=partial(lines.pulls, table=_TABLE),
    states={"score_weight": weight, "score_bias": bias},
    reversed_gradient=Impossible("PFedRec's reversed gradient changes private tensors only, which are not uploaded"),
    lone_rows=_TABLE,
)
