"""Attacks on FCF's own tensors."""

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
    return lines.read(task, contribution, _TABLE, biased=False).trained


def user_vector(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Reads the user's vector from the line on which all rows lie, and from their places on it."""
    return lines.read(task, contribution, _TABLE, biased=False).vector


ATTACKS = RecommenderAttacks(
    trained_rows=trained_rows,
    pulls=partial(lines.pulls, table=_TABLE),
    states={"user_vector": user_vector},
    reversed_gradient=Impossible("FCF's reversed gradient changes private tensors only, which are not uploaded"),
    lone_rows=_TABLE,
)
