"""The report of a run."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.plan.fragments import flat
from simulator.config.config import Config
from simulator.datasets import Dataset
from simulator.datasets.split import CHOSEN_ON
from simulator.reporting import attacked, groups, html, words
from simulator.reporting.plots import group_files, leakage_files
from simulator.reporting.terminal import attack_rows, quality_rows

_MADE = (
    "The data set was made in Python, so no command repeats the run; simulator.run does, with the configuration below."
)

_QUALITY = (
    "One item of each user is held out, so HR@K is also recall@K. Intervals: bootstrap over users. Coverage is the "
    "share of the items that are recommended to anybody. The Gini index is 0 if all are recommended equally often, "
    "and 1 if it is always the same one. Novelty is -log2 of the share of the users who have an item."
)


def write(
    config: Config, folder: Path, source: Path | Dataset | None, metrics: Mapping[str, Any], remarks: Sequence[str] = ()
) -> None:
    """Writes `report.html` into a run folder that has the plots already.

    Args:
        config: the run's configuration.
        folder: the run's folder.
        source: the data directory, if the user gave one, see `html.command`; or the data set itself.
        metrics: the run's metrics.
        remarks: sentences about how the data set was read.
    """
    html.write(
        folder / "report.html",
        f"{html.title(config)}: {words.label(config)}",
        [
            html.paragraph(words.summary(config, metrics), lead=True),
            *_recommendation(config, folder, metrics),
            *_groups(folder, config.data.attributes, metrics),
            *_attacks(config, folder, metrics),
            *html.data(remarks),
            html.heading("Command"),
            html.paragraph(_MADE)
            if isinstance(source, Dataset)
            else html.code(_command(config, folder, source, metrics)),
            html.heading("More"),
            html.details("All other metrics", html.table(("", "value"), _others(metrics))),
            html.details("Configuration", html.table(("", "value"), flat(config.document()))),
            html.details("Versions", html.versions()),
        ],
    )


def _command(config: Config, folder: Path, source: Path | None, metrics: Mapping[str, Any]) -> str:
    return html.command(config, folder, source, metrics.get(attacked.MARK, {}).get("kind", "full"))


def _recommendation(config: Config, folder: Path, metrics: Mapping[str, Any]) -> Iterator[html.Part]:
    yield html.heading("Recommendation")
    yield html.image(folder / "learning.png", "HR@10 and NDCG@10 on held-out items by round")
    rows = [(label, attacked.cell(metrics, key), interval(metrics, key)) for label, key, _ in quality_rows([metrics])]
    yield html.table(("on test items", "", "95% interval"), rows)
    yield html.paragraph(f"{_chosen(config.evaluation.split, metrics['round'])} {_QUALITY}", note=True)


def interval(metrics: Mapping[str, Any], key: str) -> str:
    """Returns the 95% interval of a metric over users as text; empty if it is not known."""
    low, high = metrics.get("intervals", {}).get(key, (None, None))
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _chosen(split: str, number: int) -> str:
    """Says which state was measured, and if its choice biases the metrics."""
    text = f"From the state with the best {CHOSEN_ON[split]} NDCG@10, after round {number}."
    if split == "validation":
        return text
    return f"{text} The split {split} has no validation items: the state was chosen on the items it is measured by."


def _groups(folder: Path, attributes: Sequence[str], metrics: Mapping[str, Any]) -> Iterator[html.Part]:
    """Makes a section for each attribute whose groups were measured."""
    for name, file in group_files(attributes).items():
        if name in metrics.get(groups.GROUPS, {}):
            yield html.heading(f"Recommendation by {name}")
            yield html.image(folder / file, f"NDCG@10 by group of {name}, and the gaps between the groups")
            yield html.table(groups.HEADER, groups.table(metrics, name))
            yield html.paragraph(groups.NOTE, note=True)


def _attacks(config: Config, folder: Path, metrics: Mapping[str, Any]) -> Iterator[html.Part]:
    corrected = metrics.get("p_holm", {})
    rows = [
        (
            label,
            attacked.cell(metrics, key),
            f"{metrics[null]:.3f}" if null in metrics else "",
            attacked.p_value(corrected[key]) if key in corrected else "",
        )
        for label, key, null in attack_rows([metrics])
    ]
    yield html.heading("Attacks")
    yield html.paragraph(attacked.sentence(metrics), note=not attacked.missing(metrics))
    yield html.table(("attack", "success", "null p95", "p, Holm"), rows)
    yield from _attacked(config.data.attributes, metrics)
    for name, file in leakage_files(config.data.attributes).items():
        yield html.heading(f"Attacks on {name}")
        yield html.image(folder / file, f"balanced accuracy of the attacks on {name}, beside their nulls")


def _attacked(attributes: Sequence[str], metrics: Mapping[str, Any]) -> list[html.Part]:
    """Says how many users the attribute attacks are on."""
    prefixes = ("", *(f"{name}/" for name in attributes[1:]))
    counts = {name: metrics.get(f"{prefix}attacked_users") for name, prefix in zip(attributes, prefixes, strict=True)}
    texts = [f"{count:,} users for {name}" for name, count in counts.items() if count is not None]
    sentence = f"The attribute attacks are on {', '.join(texts)}: a random sample, where a class has too many."
    return [html.paragraph(sentence, note=True)] if texts else []


def _others(metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Returns the metrics that stand nowhere else in the report."""
    shown = [*quality_rows([metrics]), *attack_rows([metrics])]
    listed = {name for _, key, null in shown for name in (key, null)}
    listed |= {"configuration", attacked.MARK, groups.GROUPS, "intervals", "p_holm"}
    return [(name, value) for name, value in metrics.items() if name not in listed]
