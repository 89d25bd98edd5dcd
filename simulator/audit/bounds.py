"""What a configuration may leak at most, so that continuous integration can hold it."""

import argparse
from collections.abc import Mapping, Sequence

from simulator.audit.contract import Learns
from simulator.audit.runner import Finding
from simulator.errors import BoundPassedError, ConfigError

GROUPS: Mapping[str, Sequence[str]] = {
    "label": (Learns.LABEL.value, Learns.FEATURES.value),
    "state": (Learns.STATE.value,),
    "gate": (Learns.GATE.value,),
    "items": (Learns.TOUCHED.value, Learns.RECORDED.value, Learns.MEMBERSHIP.value),
}
"""Names under which all attacks that learn one kind of thing are bound together."""


def parse(text: str) -> tuple[str, float]:
    """`NAME=SUCCESS` as a flag gives it.

    Raises:
        argparse.ArgumentTypeError: it is no bound.
    """
    name, _, number = text.partition("=")
    try:
        bound = float(number)
    except ValueError:
        bound = -1.0
    if not name or not 0 <= bound <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=SUCCESS with a success from 0 to 1")
    return name, bound


def held(name: str, findings: Sequence[Finding]) -> list[Finding]:
    """The findings that a bound of this name is on: an attack's, a group's, or `all`."""
    return [each for each in findings if name in (each.attack, "all") or each.learns in GROUPS.get(name, ())]


def check(bounds: Mapping[str, float], findings: Sequence[Finding]) -> None:
    """Returns if no bound is passed.

    Raises:
        ConfigError: a bound is on nothing that was found, so it would hold whatever happens.
        BoundPassedError: an attack succeeded more often than a bound on it allows.
    """
    passed = []
    for name, most in bounds.items():
        on = held(name, findings)
        if not on:
            raise ConfigError(
                f"the bound {name!r} is on no attack of this audit: name an attack, {', '.join(GROUPS)} or all"
            )
        worst = max(on, key=lambda each: each.score.success)
        if worst.score.success > most:
            after = f" after {worst.participations} participations" if worst.participations else ""
            passed.append(f"{worst.attack}{after} reaches {worst.score.success:.3f}, and {name} may reach {most:g}")
    if passed:
        raise BoundPassedError("; ".join(passed))
