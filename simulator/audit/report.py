"""What an audit found, for people and for programs: the table, the plot, the plain words, and the files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from rich.markup import escape
from rich.table import Table

from export.plan.fragments import flat
from simulator.attacks.contract import Learns
from simulator.audit.audit import Audit
from simulator.audit.request import PRIVATE
from simulator.audit.runner import Finding
from simulator.audit.scores import Score
from simulator.config.config import Config
from simulator.reporting import html, plots

_HEADER = ("attack", "learns", "on", "after", "success", "95% interval", "chance", "null", "null p95")

_CASES = "tells in {success} of the cases "

_SAYS: Mapping[str, str] = {
    Learns.LABEL.value: "tells {attribute} of {success} of the clients right, classes weighed alike",
    Learns.FEATURES.value: "tells {attribute} of {success} of the users right, classes weighed alike",
    Learns.STATE.value: "reads the protected state of {success} of the clients to within 1%",
    Learns.GATE.value: _CASES + "whether the adversary was right about a client",
    Learns.TOUCHED.value: _CASES + "whether a client's step touched an item",
    Learns.RECORDED.value: _CASES + "whether a client recorded an item",
    Learns.MEMBERSHIP.value: _CASES + "whether a client recorded an item that others did",
}


def table(found: Audit) -> Table:
    """The findings, for 80 columns: what the summary tells is left out and, where there is one attribute, its name."""
    shown = Table(title=escape(title(found)), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    left_out = {"learns", "on"} if len(found.request.config.data.attributes) == 1 else {"learns"}
    kept = [number for number, name in enumerate(_HEADER) if name not in left_out]
    for number in kept:
        shown.add_column(_HEADER[number], justify="left" if number < 3 else "right", no_wrap=True)
    for cells in _rows(found.findings):
        shown.add_row(*(escape(cells[number]) for number in kept))
    return shown


def title(found: Audit) -> str:
    """What was audited."""
    config = found.request.config
    return f"Audit: {html.title(config)}: adversary {_adversary(config)}"


def _adversary(config: Config) -> str:
    with_variance = set(config.plan.heads()) & {"dsvae", "scalar"}
    return f"{config.adversary}, lambda {config.plan.adversary.variance:g}" if with_variance else config.adversary


def _rows(findings: Iterable[Finding]) -> Iterable[tuple[str, ...]]:
    for each in findings:
        score = each.score
        yield (
            each.attack,
            each.learns,
            each.adversary or "recommender",
            str(each.participations or ""),
            f"{score.success:.3f}",
            f"{score.low:.3f}-{score.high:.3f}",
            f"{score.chance:.2f}",
            f"{score.null_mean:.3f}",
            f"{score.null_p95:.3f}",
        )


def summary(found: Audit) -> list[str]:
    """A sentence for each kind of thing that is learned: the best attack on it, by whom, after how long."""
    sentences = []
    groups: dict[tuple[str, str], list[Finding]] = {}
    for each in found.findings:
        groups.setdefault((_who(each), each.learns), []).append(each)
    for (who, learns), group in groups.items():
        once = [each for each in group if each.participations == min(one.participations for one in group)]
        for best in _once_and_often(once, group):
            after = f", after {_times(best.participations)}" if best.participations else ""
            says = _SAYS[learns].format(
                attribute="the attribute" if not best.adversary else best.adversary,
                success=f"{best.score.success:.0%}",
            )
            guess = f" (guessing: {best.score.chance:.0%})" if best.score.chance else ""
            sentences.append(f"{who} {says}{guess}{after}, by the attack {best.attack}.{_doubt(best.score)}")
    return sentences


def _doubt(score: Score) -> str:
    """What a sentence on a success must add."""
    if score.success <= score.null_p95:
        return " This is no more than chance gives."
    return "" if score.low > score.null_p95 else " Too few clients to be sure."


def _who(finding: Finding) -> str:
    """Who attacks, as a sentence begins."""
    if finding.attack.startswith(PRIVATE):
        return "Who has stolen the private state"
    return "Behind secure sums the server" if finding.attack.startswith("sums-") else "The server"


def _once_and_often(once: Sequence[Finding], group: Sequence[Finding]) -> list[Finding]:
    first, best = (max(each, key=lambda one: one.score.success) for each in (once, group))
    better = best.score.success > first.score.success
    return [first, best] if better else [first]


def _times(participations: int) -> str:
    return "one contribution" if participations == 1 else f"{participations} contributions"


def write(found: Audit, command: str, notes: Sequence[str]) -> None:
    """Writes `audit.json`, `audit.png` and `audit.html` into the request's folder.

    Args:
        found: the audit.
        command: as it was given.
        notes: what else is to be read beside the table.
    """
    folder, config = found.request.folder, found.request.trained
    about: dict[str, Any] = {
        "configuration": config.document(),
        "view": found.request.view,
        "round": found.round,
        "ndcg@10": found.ndcg,
        "bytes_up": found.bytes_up,
        "seconds": found.seconds,
        "facts": found.facts.to_dict(),
        "findings": [each.to_dict() for each in found.findings],
        "not_run": {each.attack: each.hindrance for each in found.not_run},
    }
    (folder / "audit.json").write_text(json.dumps(about, indent=2) + "\n")
    draw(found.findings, folder / "audit.png")
    html.write(
        folder / "audit.html",
        title(found),
        [
            *(html.paragraph(text) for text in (*summary(found), *notes)),
            html.image(folder / "audit.png", "success of each attack by the number of contributions seen"),
            html.heading("All attacks"),
            html.table(_HEADER, _rows(found.findings)),
            html.paragraph(
                f"Trained for {config.engine.rounds} rounds; the state after round {found.round} was chosen, with test "
                f"NDCG@10 {found.ndcg:.3f}; {found.seconds:.0f} s in all. View: {found.request.view}. Success is a "
                "balanced accuracy, or for a state the share that was read; intervals are Wilson's; the null is of "
                "permuted clients or labels.",
                note=True,
            ),
            html.heading("Command"),
            html.code(command),
            html.details("Configuration", html.table(("", "value"), flat(config.document()))),
            html.details("Versions", html.versions()),
        ],
    )


def draw(findings: Sequence[Finding], path: Path) -> None:
    """Success against contributions seen: a panel on the label, and one on the rest, where there is any.

    Args:
        findings: rows of the table.
        path: of the PNG.
    """
    of_label = (Learns.LABEL.value, Learns.FEATURES.value)
    shown = [each for each in findings if each.participations]
    several = len({each.adversary for each in shown if each.learns in of_label}) > 1
    parts = {
        title: part
        for title, label in (("attribute", True), ("state, gate and items", False))
        if (part := [each for each in shown if (each.learns in of_label) is label])
    }
    width = 11 if len(parts) > 1 else 7
    figure, axes = plots.panels(
        "What is learned, by contributions of a client seen", len(parts), width=width, height=6.5
    )
    for each, (title, part) in zip(axes, parts.items(), strict=True):
        lines: dict[str, list[Finding]] = {}
        for one in part:
            lines.setdefault(f"{one.attack}, {one.adversary}" if several and one.adversary else one.attack, []).append(
                one
            )
        _draw(each, lines)
        each.set_title(title, fontsize=9)
    figure.savefig(path)


def _draw(axes: Axes, lines: Mapping[str, Sequence[Finding]]) -> None:
    for number, (name, line) in enumerate(lines.items()):
        scores = [each.score for each in line]
        errors = [
            [max(0.0, each.success - each.low) for each in scores],
            [max(0.0, each.high - each.success) for each in scores],
        ]
        style = ("o-", "s--", "^:", "v-.")[number // len(plots.COLOURS) % 4]
        colour = plots.COLOURS[number % len(plots.COLOURS)]
        xs, ys = [each.participations for each in line], [each.success for each in scores]
        axes.errorbar(xs, ys, errors, fmt=style, markersize=4, linewidth=1, color=colour, label=name)
    everything = [each.score for line in lines.values() for each in line]
    for chance in {each.chance for each in everything}:
        axes.axhline(chance, color=plots.GREY, linestyle="--", linewidth=1)
    axes.set_ylim(min(0.95 * min(each.low, each.chance) for each in everything), 1.02)
    axes.set_xlabel("contributions seen")
    axes.set_xscale("log")
    ticks = sorted({each.participations for line in lines.values() for each in line})
    axes.set_xticks(ticks, [str(each) for each in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.1))
