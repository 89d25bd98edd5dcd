"""Small runs on the synthetic data set, and on own data made of it."""

import dataclasses

from simulator.config.config import Config

SMALL = Config(dataset="synthetic", rounds=4, evaluate_every=2, users=60, items=200, workers=1, attack_splits=1)

OWN = dataclasses.replace(SMALL, dataset="own", attribute="kind")


def figures(metrics):
    return {name: value for name, value in metrics.items() if name not in ("seconds", "cpu_ms", "peak_rss_mib")}


def write_own(folder, dataset, items=200, classes=("a", "b"), attribute="kind"):
    """A data set as atomic files, of which the catalogue or the classes may be cut down."""
    folder.mkdir(exist_ok=True)
    pairs = [
        f"{dataset.users[u]}\t{dataset.items[i]}" for u, i in zip(dataset.user, dataset.item, strict=True) if i < items
    ]
    (folder / "own.inter").write_text("\n".join(["user_id:token\titem_id:token", *pairs]))
    labels = [classes[label] for label in dataset.attributes["gender"].labels]
    rows = [f"{user}\t{label}" for user, label in zip(dataset.users, labels, strict=True)]
    (folder / "own.user").write_text("\n".join([f"user_id:token\t{attribute}:token", *rows]))
