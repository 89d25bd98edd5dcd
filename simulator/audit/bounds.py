"""What a configuration may leak at most, so that continuous integration can hold it."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from simulator.attacks.contract import Learns
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


def smallest(given: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Of each name the smallest bound that was given."""
    out: dict[str, float] = {}
    for name, most in given:
        out[name] = min(most, out.get(name, most))
    return out


class _Named(Protocol):
    @property
    def attack(self) -> str: ...
    @property
    def learns(self) -> str: ...


_T = TypeVar("_T", bound=_Named)


def held(name: str, of: Sequence[_T]) -> list[_T]:
    """Those, findings for example, that a bound of this name is on: an attack's, a group's, or `all`."""
    return [each for each in of if name in (each.attack, "all") or each.learns in GROUPS.get(name, ())]


def expect_on(name: str, of: Sequence[_Named]) -> None:
    """Returns if a bound of this name is on anything.

    Raises:
        ConfigError: it is not, so it would hold whatever happens.
    """
    if not held(name, of):
        raise ConfigError(
            f"the bound {name!r} is on no attack of this audit: name an attack, {', '.join(GROUPS)} or all"
        )


def check(bounds: Mapping[str, float], findings: Sequence[Finding], lost: Sequence[_Named] = ()) -> None:
    """Returns if no bound is passed.

    Args:
        bounds: most success by name.
        findings: of the audit.
        lost: attacks that were asked for and found nothing.

    Raises:
        ConfigError: a bound is on nothing that was found, or on an attack that found nothing: it would hold whatever
            happens.
        BoundPassedError: an attack succeeded more often than a bound on it allows.
    """
    passed = []
    for name, most in bounds.items():
        expect_on(name, findings)
        worst = max(held(name, findings), key=lambda each: each.score.success)
        if worst.score.success > most:
            after = f" after {worst.participations} participations" if worst.participations else ""
            passed.append(f"{worst.attack}{after} reaches {worst.score.success:.3f}, and {name} may reach {most:g}")
    if passed:
        raise BoundPassedError("; ".join(passed))
    for name in bounds:
        if unmeasured := held(name, lost):
            raise ConfigError(f"the bound {name!r} held without {', '.join(each.attack for each in unmeasured)}")
