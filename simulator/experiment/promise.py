"""The differential privacy that the noise on a run's sums promises to each client."""

from collections.abc import Mapping
from typing import Any

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.secure import privacy


def of(task: TaskManifest, delta: float) -> dict[str, Any]:
    """Returns `epsilon`, `delta`, `noise_multiplier` and `max_participations`; empty without noise on sums.

    Args:
        task: the manifest.
        delta: probability with which the promise may fail.
    """
    policy = task.secure_sums
    if not policy.noise_multiplier:
        return {}
    return {
        "epsilon": privacy.epsilon(privacy.mu(policy.max_participations, policy.noise_multiplier), delta),
        "delta": delta,
        "noise_multiplier": policy.noise_multiplier,
        "max_participations": policy.max_participations,
    }


def sentences(metrics: Mapping[str, Any]) -> list[str]:
    """Says it for people, given metrics with what `of` returns; empty without noise on sums."""
    if "epsilon" not in metrics:
        return []
    return [
        f"Noise of multiplier {metrics['noise_multiplier']:g} on sums: the at most {metrics['max_participations']} "
        f"contributions of a client have epsilon {metrics['epsilon']:.3g} at delta {metrics['delta']:g}. It is of sums "
        "with the client and without; cohorts are no secret sample, so that nothing is gained from them."
    ]
