"""Bounds on what a configuration leaks, which continuous integration can hold."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from simulator.attacks.aims import Learns
from simulator.errors import BoundPassedError, ConfigError

if TYPE_CHECKING:
    from simulator.audit.runner import Finding

GROUPS: Mapping[str, Sequence[str]] = {
    "label": (Learns.LABEL.value, Learns.FEATURES.value),
    "state": (Learns.STATE.value,),
    "gate": (Learns.GATE.value,),
    "items": (Learns.TOUCHED.value, Learns.RECORDED.value, Learns.MEMBERSHIP.value),
}
"""Names that bound all attacks with one kind of aim together."""


def parse(text: str) -> tuple[str, float]:
    """Reads `NAME=SUCCESS`, the value of a flag.

    Raises:
        argparse.ArgumentTypeError: the text is not a bound.
    """
    name, _, number = text.partition("=")
    try:
        bound = float(number)
    except ValueError:
        bound = -1.0
    if not name or not 0 <= bound <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SUCCESS with a success from 0 to 1")
    return name, bound


def smallest(bounds: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The smallest bound of every name."""
    out: dict[str, float] = {}
    for name, most in bounds:
        out[name] = min(most, out.get(name, most))
    return out


class _Named(Protocol):
    @property
    def attack(self) -> str: ...
    @property
    def learns(self) -> str: ...


_T = TypeVar("_T", bound=_Named)


def held(name: str, of: Sequence[_T]) -> list[_T]:
    """Selects the findings or plans that a bound of this name is on: the name of an attack or a group, or `all`."""
    return [entry for entry in of if name in (entry.attack, "all") or entry.learns in GROUPS.get(name, ())]


def expect_on(name: str, of: Sequence[_Named]) -> None:
    """Checks that a bound of this name is on something.

    Raises:
        ConfigError: it is on nothing, so it would always hold.
    """
    if not held(name, of):
        raise ConfigError(
            f"the bound {name!r} is on no attack of this audit: name an attack, {', '.join(GROUPS)} or all"
        )


def check(bounds: Mapping[str, float], findings: "Sequence[Finding]", lost: Sequence[_Named] = ()) -> None:
    """Checks that no attack succeeded more often than a bound allows.

    Args:
        bounds: largest success by name.
        findings: the audit's.
        lost: attacks without which a bound on them does not hold, and which have no finding.

    Raises:
        ConfigError: a bound is on no finding, or on an attack without a finding, so it would always hold.
        BoundPassedError: an attack succeeded more often than a bound on it allows.
    """
    passed = []
    for name, most in bounds.items():
        expect_on(name, findings)
        worst = max(held(name, findings), key=lambda finding: finding.score.success)
        if worst.score.success > most:
            after = f" after {worst.participations} participations" if worst.participations else ""
            passed.append(f"{worst.attack}{after} reaches {worst.score.success:.3f}, and {name} may reach {most:g}")
    if passed:
        raise BoundPassedError("; ".join(passed))
    for name in bounds:
        if unmeasured := held(name, lost):
            raise ConfigError(f"the bound {name!r} held without {', '.join(entry.attack for entry in unmeasured)}")
