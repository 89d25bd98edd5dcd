"""Removes cover rows from contributions: rows that the device added to hide those that it trained.

A row that training gave its item depends on that item's own tensors, and training changes dense tensors through such
rows alone. To find them one must know the recommender, and have the gradient of one local step.
"""

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from fedau2.wire.contributions import Rows, Update
from simulator.attacks.contract import Contribution
from simulator.attacks.recommenders.contract import Impossible
from simulator.attacks.recommenders.registry import attacks_on


def uncovered(task: Task, contribution: Contribution) -> Contribution:
    """A contribution without the rows that are found to be cover.

    The contribution itself is returned where the plan has no cover rows, where it is not a gradient (several local
    steps), and where the recommender's attacks say that cover rows cannot be found.

    Raises:
        MissingAttackError: nobody has written the attacks on the recommender.
    """
    local, trained_rows = task.manifest.plan.local, attacks_on(task.manifest.model).trained_rows
    if not local.cover_rows or local.steps > 1 or isinstance(trained_rows, Impossible):
        return contribution
    trained = trained_rows(task, contribution)
    return {name: _only(update, trained) if name in task.tables else update for name, update in contribution.items()}


def _only(update: Update, rows: NDArray[np.int64]) -> Update:
    if not isinstance(update, Rows):
        return update
    remain = np.isin(update.indices, rows)
    return Rows(update.indices[remain], update.values[remain])
