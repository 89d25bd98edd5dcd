"""A run in words: what was trained, how well it recommends, and what leaks beside its null."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simulator.config.config import Config
from simulator.datasets.split import NEGATIVES
from simulator.reporting import attacked, groups, leaks

_NAMES = {
    "fedncf": "FedNCF",
    "fedrap": "FedRAP",
    "fedvae": "FedVAE",
    "fcf": "FCF",
    "pfedrec": "PFedRec",
    "fedgnn": "FedGNN",
}
_WHO: Mapping[leaks.Source, str] = {
    "map": "Whoever holds what the unlearning has published",
    "lists": "Whoever sees what is recommended",
}
"""The people who read from a source."""


def of_random_order(k: int = 10) -> tuple[float, float]:
    """Returns HR@K and NDCG@K of a random order of the held-out item and its candidates."""
    places = range(min(k, NEGATIVES + 1))
    return len(places) / (NEGATIVES + 1), sum(1 / math.log2(place + 2) for place in places) / (NEGATIVES + 1)


def summary(config: Config, metrics: Mapping[str, Any]) -> str:
    """Says in a paragraph what was trained, how well, and what leaks beside its null.

    Args:
        config: of the run.
        metrics: of the run.
    """
    sentences = [_trained(config, metrics), *_quality(metrics), *groups.sentences(metrics)]
    if (mark := metrics.get(attacked.MARK)) and len(mark["missing"]) == len(mark["asked"]):
        return " ".join([*sentences, "It was not attacked, so nothing is known of what it leaks."])
    for number, name in enumerate(config.data.attributes):
        prefix = f"{name}/" if number else ""
        sentences += [*_leaks(name, metrics, prefix), *_uploads(name, metrics, prefix)]
    if missing := attacked.missing(metrics):
        asked = len(metrics[attacked.MARK]["asked"])
        sentences.append(
            f"Of {asked} attacks {len(missing)} were not made, and nothing is known of what they would read."
        )
    if not is_original(config):
        sentences.append(
            "Whether the Original leaks less is not known from this run alone: the same settings with --preset "
            "original, in a folder of their own, show it."
        )
    return " ".join(sentences)


def model_name(config: Config) -> str:
    """Returns the name of a configuration's recommender as its paper writes it."""
    return _NAMES.get(config.plan.model.name, config.plan.model.name)


def label(config: Config) -> str:
    """Returns how a configuration trains, for titles and legends."""
    matched = ", distribution matching" if config.plan.matchings != () else ""
    return f"adversary: {config.adversary}{matched}"


def is_original(config: Config) -> bool:
    """Returns whether nothing in a configuration unlearns."""
    after, engine = config.after_training, config.engine
    noise = after.noise or after.floor or engine.local_noise or engine.apm
    unlearned = config.plan.matchings != () or config.plan.erased != ()
    return not config.plan.heads() and not unlearned and after.erasure == "none" and not noise


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
    if config.plan.matchings != ():
        how.append(f"with distribution matching of {names}")
    if config.plan.erased != ():
        floor = config.plan.eraser.floor
        how.append(f"with {names} erased by devices, and a floor of noise of {floor:g} standard deviations")
    if after.erasure != "none":
        again = f", and again every {after.erase_every:,} rounds" if after.erase_every else ""
        how.append(f"with {names} erased from the state after it ({after.erasure}{again})")
    if after.noise or engine.local_noise or engine.apm:
        how.append("with noise that is to hide the user")
    if after.floor:
        how.append(f"with a floor of noise on the state ({after.floor:g} standard deviations)")
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


def _leaks(name: str, metrics: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Says what is read of an attribute from private state, and by whom else it is read."""
    attacks = list(leaks.leaks_of(metrics, prefix))
    state = leaks.strongest(leak for leak in attacks if leak.source == "state")
    if state is not None:
        missing = any(part.startswith(prefix) for part in attacked.missing(metrics))
        yield (
            f"Of {name}, {state.attack} reads most beyond its null: its balanced accuracy is {state.success:.3f}, and "
            f"the same attack reaches {state.null:.3f} on shuffled labels in 1 of 20 cases. "
            f"{_verdict(state, whole=not missing)}"
        )
    for source, who in _WHO.items():
        leak = leaks.strongest(leak for leak in attacks if leak.source == source)
        if leak is not None and leak.leaks:
            yield (
                f"{who} reads {name} beyond chance: {leak.attack} reaches {leak.success:.3f}, with a null of "
                f"{leak.null:.3f}{_doubt(leak)}."
            )


def _verdict(leak: leaks.Leak, *, whole: bool) -> str:
    if not leak.leaks:
        made = "no attack on the state" if whole else "of the attacks on the state that were made, none"
        return f"So {made} reads more than chance gives."
    if doubt := _doubt(leak):
        return f"That is above the null{doubt}."
    return "So the state leaks it."


def _doubt(leak: leaks.Leak) -> str:
    certain = math.isnan(leak.p) or leak.p < 0.05
    return "" if certain else f", but not beyond doubt where several attacks are made (p {leak.p:.2f} by Holm)"


def _uploads(name: str, metrics: Mapping[str, Any], prefix: str) -> Iterator[str]:
    known = [metrics[key] for key in (f"{prefix}leak_dlg", f"{prefix}leak_analytic") if key in metrics]
    if known:
        yield f"From a single upload the server reads {name} with a balanced accuracy of up to {max(known):.3f}."
