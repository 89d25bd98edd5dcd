"""The report of an audit: the table, the plot, the summary in words, and the files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from export.plan.fragments import flat
from simulator.attacks.aims import Learns
from simulator.audit.audit import Audit
from simulator.audit.request import PRIVATE
from simulator.audit.runner import Finding
from simulator.audit.scores import Score
from simulator.config.config import Config
from simulator.reporting import drawing, html

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEADER = ("attack", "learns", "on", "after", "success", "95% interval", "chance", "null", "null p95")

_CASES = "says rightly in {success} of the cases "

_SAYS: Mapping[str, str] = {
    Learns.LABEL.value: "finds {attribute} of {success} of the clients, classes weighed alike",
    Learns.FEATURES.value: "finds {attribute} of {success} of the users, classes weighed alike",
    Learns.STATE.value: "reads the protected state of {success} of the clients to within 1%",
    Learns.GATE.value: _CASES + "whether the adversary was right about a client",
    Learns.TOUCHED.value: _CASES + "whether a client's step touched an item",
    Learns.RECORDED.value: _CASES + "whether a client recorded an item",
    Learns.MEMBERSHIP.value: _CASES + "whether a client recorded an item that others did",
}


def table(audit: Audit) -> Table:
    """The findings in 80 columns, without the aims and, where there is one attribute, without its name."""
    columns = Table(title=escape(title(audit)), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    left_out = {"learns", "on"} if len(audit.request.config.data.attributes) == 1 else {"learns"}
    numbers = [number for number, name in enumerate(_HEADER) if name not in left_out]
    for number in numbers:
        columns.add_column(_HEADER[number], justify="left" if number < 3 else "right", no_wrap=True)
    for cells in _rows(audit.findings):
        columns.add_row(*(escape(cells[number]) for number in numbers))
    return columns


def title(audit: Audit) -> str:
    """The title: what was audited."""
    config = audit.request.config
    return f"Audit: {html.title(config)}: adversary {_adversary(config)}"


def _adversary(config: Config) -> str:
    with_variance = set(config.plan.heads()) & {"dsvae", "scalar"}
    return f"{config.adversary}, lambda {config.plan.adversary.variance:g}" if with_variance else config.adversary


def _rows(findings: Iterable[Finding]) -> Iterable[tuple[str, ...]]:
    for finding in findings:
        score = finding.score
        yield (
            finding.attack,
            finding.learns,
            finding.adversary or "recommender",
            str(finding.participations or ""),
            f"{score.success:.3f}",
            f"{score.low:.3f}-{score.high:.3f}",
            f"{score.chance:.2f}",
            f"{score.null_mean:.3f}",
            f"{score.null_p95:.3f}",
        )


def summary(audit: Audit) -> list[str]:
    """A sentence for every aim: the best attack, who makes it, and after how many contributions."""
    sentences = []
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in audit.findings:
        groups.setdefault((_attacker(finding), finding.learns), []).append(finding)
    for (who, learns), group in groups.items():
        fewest = min(finding.participations for finding in group)
        once = [finding for finding in group if finding.participations == fewest]
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
    """A remark that a sentence on a success needs."""
    if score.success <= score.null_p95:
        return " This is no more than chance gives."
    return "" if score.low > score.null_p95 else " Too few clients to be sure."


def _attacker(finding: Finding) -> str:
    """The attacker, as a sentence begins."""
    if finding.attack.startswith(PRIVATE):
        return "A thief of the private state"
    return "Behind secure sums the server" if finding.attack.startswith("sums-") else "The server"


def _once_and_often(once: Sequence[Finding], group: Sequence[Finding]) -> list[Finding]:
    first, best = (max(findings, key=lambda finding: finding.score.success) for findings in (once, group))
    better = best.score.success > first.score.success
    return [first, best] if better else [first]


def _times(participations: int) -> str:
    return "one contribution" if participations == 1 else f"{participations} contributions"


def write(audit: Audit, command: str, notes: Sequence[str]) -> None:
    """Writes `audit.json`, `audit.png` and `audit.html` into the request's folder.

    Args:
        audit: the audit.
        command: the command line.
        notes: further sentences beside the table.
    """
    folder, config = audit.request.folder, audit.request.trained
    about: dict[str, Any] = {
        "configuration": config.document(),
        "view": audit.request.view,
        "round": audit.round,
        "ndcg@10": audit.ndcg,
        "bytes_up": audit.bytes_up,
        "seconds": audit.seconds,
        "facts": audit.facts.to_dict(),
        "findings": [finding.to_dict() for finding in audit.findings],
        "not_run": {attack.attack: attack.hindrance for attack in audit.not_run},
    }
    (folder / "audit.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")
    draw(audit.findings, folder / "audit.png")
    html.write(
        folder / "audit.html",
        title(audit),
        [
            *(html.paragraph(text) for text in (*summary(audit), *notes)),
            html.image(folder / "audit.png", "success of each attack by the number of contributions seen"),
            html.heading("All attacks"),
            html.table(_HEADER, _rows(audit.findings)),
            html.paragraph(
                f"Trained for {config.engine.rounds} rounds; the state after round {audit.round} was chosen, with test "
                f"NDCG@10 {audit.ndcg:.3f}; {audit.seconds:.0f} s in all. View: {audit.request.view}. Success is a "
                "balanced accuracy, or for a state the share that was read; intervals are Wilson's; the null is of "
                "permuted clients or labels.",
                note=True,
            ),
            *html.data(audit.remarks),
            html.heading("Command"),
            html.code(command),
            html.details("Configuration", html.table(("", "value"), flat(config.document()))),
            html.details("Versions", html.versions()),
        ],
    )


def draw(findings: Sequence[Finding], path: Path) -> None:
    """Draws success against contributions seen: a panel for the label, and one for the other aims if there are any.

    Args:
        findings: rows of the table.
        path: of the PNG.
    """
    of_label = (Learns.LABEL.value, Learns.FEATURES.value)
    findings = [finding for finding in findings if finding.participations]
    several = len({finding.adversary for finding in findings if finding.learns in of_label}) > 1
    parts = {
        title: part
        for title, label in (("attribute", True), ("state, gate and items", False))
        if (part := [finding for finding in findings if (finding.learns in of_label) is label])
    }
    heading, width = "What is learned, by contributions of a client seen", 11 if len(parts) > 1 else 7
    with drawing.picture(path, heading, len(parts), width=width, height=6.5) as all_axes:
        for axes, (title, part) in zip(all_axes, parts.items(), strict=True):
            lines: dict[str, list[Finding]] = {}
            for finding in part:
                name = f"{finding.attack}, {finding.adversary}" if several and finding.adversary else finding.attack
                lines.setdefault(name, []).append(finding)
            _draw(axes, lines)
            axes.set_title(title, fontsize=9)


def _draw(axes: "Axes", lines: Mapping[str, Sequence[Finding]]) -> None:
    for number, (name, line) in enumerate(lines.items()):
        scores = [finding.score for finding in line]
        errors = [
            [max(0.0, score.success - score.low) for score in scores],
            [max(0.0, score.high - score.success) for score in scores],
        ]
        xs, ys = [finding.participations for finding in line], [score.success for score in scores]
        axes.errorbar(xs, ys, errors, **drawing.style(number), markersize=4, linewidth=1, label=name)
    everything = [finding.score for line in lines.values() for finding in line]
    for chance in {score.chance for score in everything}:
        axes.axhline(chance, color=drawing.GREY, linestyle="--", linewidth=1)
    axes.set_ylim(min(0.95 * min(score.low, score.chance) for score in everything), 1.02)
    axes.set_xlabel("contributions seen")
    axes.set_ylabel("success, from 0 to 1, with its 95% interval")
    axes.set_xscale("log")
    ticks = sorted({finding.participations for line in lines.values() for finding in line})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.1))
