"""Names of metrics that a table can have as columns."""

import re

from fedau2.similar import did_you_mean
from simulator.reporting import attacked, terminal
from simulator.reproduce.experiments import ATTACKS, QUALITY, TRIGGERS

OTHERS = frozenset(
    {
        *("attacked_users", "bacc_null_p95", "bytes_down", "bytes_up", "clients_trained", "cpu_ms", "delta", "epsilon"),
        *("evaluated_users", "items", "loss_std", "max_participations", "noise_multiplier", "parameters"),
        *("peak_rss_mib", "round", "seconds", "unknown_clients", "users"),
    }
)
"""Metrics that are numbers, beside those of recommendation and of attacks."""

_OF_AN_ATTACK = re.compile(r"(?:(?:bacc|auc)_(?:std|null_mean|null_p95|p)|macro_f1)_")


def why_unknown(name: str) -> str:
    """Returns why no run can have a metric, which begins with the name if it ends in `_`; empty for a known one."""
    metric = _OF_AN_ATTACK.sub("bacc_", name.rpartition("/")[2])
    on_uploads = attacked.part_of(metric) in (attacked.UPLOADS, attacked.SUM)
    if metric in OTHERS or metric.startswith(TRIGGERS) or on_uploads or terminal.rows_of([{metric: 0.0}]):
        return ""
    usual = (*QUALITY, *ATTACKS, *OTHERS)
    if name.endswith("_") and any(other.startswith(name) for other in usual):
        return ""
    return f"no run has a metric {name!r}{did_you_mean(name, usual)}; docs/metrics.md and docs/attacks.md name them"
