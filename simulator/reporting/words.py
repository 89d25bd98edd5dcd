"""A run in words: what was trained, how well it recommends, and what leaks beside its null."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.config.config import Config
from simulator.datasets.split import NEGATIVES
from simulator.reporting import attacked, groups

_NAMES = {"fedncf": "FedNCF", "fedrap": "FedRAP", "fedvae": "FedVAE", "fcf": "FCF", "pfedrec": "PFedRec"}
_STATES = {"": "the embedding", "_all": "all private state"}
_ATTACKERS = {"paper": "the paper's attacker", "strong": "the strong attacker", "largest": "the best of all families"}


@dataclass(frozen=True)
class Leak:
    """An attack on an attribute.

    Attributes:
        attack: its name in words.
        success: balanced accuracy.
        null: 95th percentile of the same on shuffled labels.
        p: corrected for the number of attacks; NaN if it is not known.
    """

    attack: str
    success: float
    null: float
    p: float

    @property
    def leaks(self) -> bool:
        """True if it reads more than the same attack on shuffled labels does in 19 of 20 cases."""
        return self.success > self.null


def strongest(metrics: Mapping[str, Any], prefix: str = "") -> Leak | None:
    """Returns the attack on an attribute that exceeds its null by most; None if none was made."""
    leaks = []
    for attacker, who in _ATTACKERS.items():
        for suffix, state in _STATES.items():
            key, null = f"{prefix}bacc_{attacker}{suffix}", f"{prefix}bacc_null_p95_{attacker}{suffix}"
            if key in metrics and null in metrics:
                p = metrics.get("p_holm", {}).get(key, math.nan)
                leaks.append(Leak(f"{who} on {state}", metrics[key], metrics[null], p))
    return max(leaks, key=lambda leak: leak.success - leak.null, default=None)


def of_random_order(k: int = 10) -> tuple[float, float]:
    """Returns HR@K and NDCG@K of a random order of the held-out item and its candidates."""
    places = range(min(k, NEGATIVES + 1))
    return len(places) / (NEGATIVES + 1), sum(1 / math.log2(place + 2) for place in places) / (NEGATIVES + 1)


def summary(config: Config, metrics: Mapping[str, Any], original: Mapping[str, Any] | None = None) -> str:
    """Says in a paragraph what was trained, how well, what leaks beside its null, and if the Original leaks less.

    Args:
        config: of the run.
        metrics: of the run.
        original: metrics of the Original with the same data and attributes; None: no Original is beside the run.
    """
    sentences = [_trained(config, metrics), *_quality(metrics), *groups.sentences(metrics)]
    if (mark := metrics.get(attacked.MARK)) and len(mark["missing"]) == len(mark["asked"]):
        return " ".join([*sentences, "It was not attacked, so nothing is known of what it leaks."])
    for number, name in enumerate(config.data.attributes):
        prefix = f"{name}/" if number else ""
        sentences += [*_state(name, metrics, prefix), *_uploads(name, metrics, prefix)]
        if original is not None:
            sentences += compared(name, metrics, original, prefix)
    if original is None and not is_original(config):
        sentences.append(
            "Whether the Original leaks less is not known from this run alone: the same settings with --preset "
            "original, in a folder of their own, show it."
        )
    return " ".join(sentences)


def model_name(config: Config) -> str:
    """Returns the name of a configuration's recommender as its paper writes it."""
    return _NAMES.get(config.plan.model.name, config.plan.model.name)


def is_original(config: Config) -> bool:
    """Returns whether nothing in a configuration unlearns."""
    after, engine = config.after_training, config.engine
    noise = after.noise or engine.local_noise or engine.apm
    return not config.plan.heads() and after.erasure == "none" and not noise


def _trained(config: Config, metrics: Mapping[str, Any]) -> str:
    model = model_name(config)
    size = f" ({metrics['users']:,} users, {metrics['items']:,} items)" if "users" in metrics else ""
    rounds = config.engine.rounds
    text = f"{model} was trained on {config.data.dataset}{size} for {rounds:,} {'round' if rounds == 1 else 'rounds'}"
    return f"{text}, {_unlearned(config)}, and the state after round {metrics['round']:,} is measured."


def _unlearned(config: Config) -> str:
    """Says how a configuration unlearns."""
    names, after, engine = _listed(config.data.attributes), config.after_training, config.engine
    how = []
    if config.plan.heads():
        how.append(f"with adversaries ({config.adversary}) that unlearn {names}")
    if after.erasure != "none":
        how.append(f"with {names} erased from the state after it ({after.erasure})")
    if after.noise or engine.local_noise or engine.apm:
        how.append("with noise that is to hide the user")
    if engine.sums != "plain":
        how.append(f"with {engine.sums} sums of contributions")
    if is_original(config):
        how.insert(0, "without any unlearning: it is an Original")
    return _listed(how)


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _quality(metrics: Mapping[str, Any]) -> Iterator[str]:
    if "hr@10" in metrics:
        hits, gain = of_random_order()
        low, high = metrics.get("intervals", {}).get("ndcg@10", (math.nan, math.nan))
        interval = f", 95% interval {low:.3f} to {high:.3f} over users" if low == low else ""
        yield (
            f"Among {NEGATIVES} others it ranks the held-out item of {metrics['hr@10']:.0%} of the users in the first "
            f"10 (a random order: {hits:.0%}); its NDCG@10 is {metrics['ndcg@10']:.3f}{interval} (a random order: "
            f"{gain:.3f})."
        )


def _state(name: str, metrics: Mapping[str, Any], prefix: str) -> Iterator[str]:
    leak = strongest(metrics, prefix)
    if leak is not None:
        yield (
            f"Of {name}, {leak.attack} reads most beyond its null: its balanced accuracy is {leak.success:.3f}, and "
            f"the same attack reaches {leak.null:.3f} on shuffled labels in 1 of 20 cases. {_verdict(leak)}"
        )


def _verdict(leak: Leak) -> str:
    if not leak.leaks:
        return "So no attack on the state reads more than chance gives."
    if math.isnan(leak.p) or leak.p < 0.05:
        return "So the state leaks it."
    return f"That is above the null, but not beyond doubt where several attacks are made (p {leak.p:.2f} by Holm)."


def _uploads(name: str, metrics: Mapping[str, Any], prefix: str) -> Iterator[str]:
    known = [metrics[key] for key in (f"{prefix}leak_dlg", f"{prefix}leak_analytic") if key in metrics]
    if known:
        yield f"From a single upload the server reads {name} with a balanced accuracy of up to {max(known):.3f}."


def compared(name: str, metrics: Mapping[str, Any], original: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Says whether the Original leaks less of an attribute, and what it recommends like."""
    ours, theirs = strongest(metrics, prefix), strongest(original, prefix)
    if ours is None or theirs is None:
        return
    if not (ours.leaks or theirs.leaks):
        leaks = "leaks no more than chance either"
    else:
        margins = [leak.success - leak.null for leak in (ours, theirs)]
        leaks = "leaks less" if margins[1] < margins[0] else "leaks more"
    yield (
        f"The Original {leaks}: {theirs.attack} reaches {theirs.success:.3f} there, with a null of {theirs.null:.3f}; "
        f"its NDCG@10 is {original['ndcg@10']:.3f}."
    )
