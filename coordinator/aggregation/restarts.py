"""Restarts of adversaries: the server draws their tensors anew, so that no state runs away from one of them for good.

The draws follow from the manifest and the round's number, which are public. So a coordinator that starts again, or the
simulator, draws the same values.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from fedau2.v1.task_pb2 import Plan, TaskManifest
from fedau2.wire import blobs, initial, passes
from fedau2.wire.blobs import Tensors
from fedau2.wire.manifest import adversary_prefix, shared

MOMENTS = ("first", "second", "steps")
"""Endings of the names under which the server's state keeps Adam's moments and steps of a tensor."""


def due(plan: Plan, round_number: int) -> Iterator[str]:
    """Yields the names of the adversaries that restart at the end of a round.

    An adversary restarts after each `restart_every`-th step of the recommender. Those of one attribute take turns: the
    j-th of k is ahead by the share j / k of its own time between restarts. In a pass none restarts, so that all passes
    before the recommender's next step train the new tensors.
    """
    if not passes.moves(plan.server.passes, round_number):
        return
    restarting = [adversary for adversary in plan.adversaries if adversary.restart_every]
    of_attribute = Counter(adversary.attribute for adversary in restarting)
    steps, place = round_number // (plan.server.passes + 1) + 1, Counter[str]()
    for adversary in restarting:
        ahead = place[adversary.attribute] * adversary.restart_every // of_attribute[adversary.attribute]
        place[adversary.attribute] += 1
        if (steps + ahead) % adversary.restart_every == 0:
            yield adversary.name


def restart(manifest: TaskManifest, checkpoint: Tensors, state: Tensors, round_number: int) -> None:
    """Draws the tensors of the adversaries that restart anew, and forgets their moments.

    Args:
        manifest: the checked manifest.
        checkpoint: after the server's step; changed in place.
        state: the server's, after the step; changed in place.
        round_number: of the round that ends, as devices are given it.
    """
    for adversary in due(manifest.plan, round_number):
        key = blobs.sha256(f"fedau2 restart {round_number} {adversary} ".encode() + manifest.checkpoint.sha256)
        rng = np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))
        for name, spec in shared(manifest).items():
            if name.startswith(adversary_prefix(adversary)):
                checkpoint[name] = initial.drawn(spec, rng)
                for moment in MOMENTS:
                    state.pop(f"{name}.{moment}", None)
