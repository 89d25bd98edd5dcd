"""Refuses rounds of tasks if a restored unmasker cannot know how often devices took part.

Caps of participations, and with them the epsilon of noise, would begin anew without a word. So such tasks end.
"""

import sqlalchemy as sa

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.unmasker_pb2 import OpenRoundRequest
from unmasker.errors import ForgottenError
from unmasker.store.books import Page
from unmasker.store.tables import later_epoch, task_round


def check(page: Page, request: OpenRoundRequest, policy: SecureSums) -> None:
    """Returns if nothing that matters can have been forgotten of the task of a round.

    Args:
        page: the transaction.
        request: the round.
        policy: of the round.

    Raises:
        ForgottenError: the policy caps participations, and the task was known before this epoch, or may have been.
    """
    if not policy.max_participations and not policy.noise_multiplier:
        return
    chosen = task_round.c.task_id == request.task_id
    epoch = page.connection.execute(sa.select(task_round.c.epoch).where(chosen)).scalar()
    if epoch is None:
        restored = page.connection.execute(sa.select(later_epoch).limit(1)).first() is not None
        whole = request.round == 0 or not restored
    else:
        whole = bytes(epoch) == page.epoch.id
    if not whole:
        raise ForgottenError(
            "this unmasker was restored, and cannot know how often devices took part in this task, which caps that: "
            "stop the task and create a new one, whose rounds begin at 0"
        )
