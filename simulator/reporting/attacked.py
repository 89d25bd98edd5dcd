"""Marks what was not attacked: a figure that nobody measured must not look like one that is good."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

MARK = "attacks"
"""The metric that says how a run was attacked: `kind`, `splits`, `seed`, and names of parts, `asked` and `missing`."""

NOT_ATTACKED = "not attacked"

UPLOADS = "uploads"
"""The part of all attacks on uploads. The parts on state are `paper`, `paper_all`, `strong`, ..."""

SUM = "sum"
"""The part of the attack on one round's sum, which is all that the server sees of uploads to secure sums."""

_STATE = re.compile(r"(?:bacc_std|(?:bacc|auc)(?:_null_mean|_null_p95|_p)?|macro_f1)(?:_(?P<part>.+))?")
_FAMILIES = "_families"
_OF_STRONG = re.compile(
    r"largest_family.*|(?:bacc|auc)_(?:null_mean_|null_p95_|p_)?(?:largest|by_family).*|attacked_users"
)


def part_of(key: str) -> str:
    """Returns the part of the attacks that a metric comes from, with the prefix of its attribute; empty for others."""
    attribute, slash, leaf = key.rpartition("/")
    if leaf.startswith("sum_"):
        part = SUM
    elif leaf.startswith("shown_"):
        part = "top10_seen"
    elif leaf.startswith("leak_"):
        part = UPLOADS
    elif _OF_STRONG.fullmatch(leaf):
        part = "strong_all" if leaf.endswith("_all") else "strong"
    elif _FAMILIES in leaf:
        part = leaf.replace(_FAMILIES, "")
    else:
        state = _STATE.fullmatch(leaf)
        part = (state["part"] or "strong") if state else ""
    return f"{attribute}{slash}{part}" if part else ""


def missing(metrics: Mapping[str, Any]) -> Sequence[str]:
    """Returns the parts that were not run; runs of earlier versions were attacked in full."""
    parts: Sequence[str] = metrics.get(MARK, {}).get("missing", ())
    return parts


def is_missing(metrics: Mapping[str, Any], key: str) -> bool:
    """Returns whether a metric is not there because its attack was not run."""
    return key not in metrics and part_of(key) in missing(metrics)


def cell(metrics: Mapping[str, Any], key: str) -> str:
    """Returns a metric as a table shows it; empty if the run has none."""
    if key in metrics:
        return f"{metrics[key]:.3f}"
    return NOT_ATTACKED if is_missing(metrics, key) else ""


def p_value(p: float) -> str:
    """Returns a p-value as a table shows it."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def sentence(metrics: Mapping[str, Any]) -> str:
    """Says in words how a run was attacked."""
    mark = metrics.get(MARK)
    if mark is None:
        return "The run is of a version that always attacked in full."
    if not mark["missing"]:
        return f"Attacks: {mark['kind']}, {mark['splits']} random splits, seed {mark['seed']}."
    if mark["missing"] == mark["asked"]:
        return "The run was not attacked, so nothing here says what it reveals."
    done = len(mark["asked"]) - len(mark["missing"])
    return (
        f"The attacks were interrupted after {done} of {len(mark['asked'])}. What is marked as {NOT_ATTACKED!r} was "
        "not measured, so nothing here says what it reveals."
    )
