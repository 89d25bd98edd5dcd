"""`fedau2-sim list`: names that other commands take: recommenders, presets, attacks and data sets."""

import argparse
from typing import TYPE_CHECKING, Any

from simulator.commands.printing import print_table
from simulator.config import presets
from simulator.config.config import ROUNDS, USUAL_ROUNDS

if TYPE_CHECKING:
    from rich.console import Console


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("what", choices=_LISTS, help=f"{', '.join(_LISTS)}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=_list)


def _list(options: argparse.Namespace, console: "Console") -> None:
    print_table(_LISTS[options.what](), options.what, options.json, console)


def _models() -> list[dict[str, Any]]:
    from client_sdk.kernel.models import RECOMMENDERS

    return [
        {
            "model": name,
            "rounds": ROUNDS.get(name, USUAL_ROUNDS),
            "presets": list(presets.of_model(name)),
        }
        for name in RECOMMENDERS
    ]


def _presets() -> list[dict[str, Any]]:
    from client_sdk.kernel.models import RECOMMENDERS

    return [
        {"preset": name, "model": model, "sets": dict(settings)}
        for name in presets.PRESETS
        for model in RECOMMENDERS
        if (settings := presets.of_model(model).get(name)) is not None
    ]


def _attacks() -> list[dict[str, Any]]:
    from simulator.audit.registry import ATTACKS  # here, because PyTorch takes seconds to load
    from simulator.audit.request import PRIVATE

    on_uploads = [
        {"attack": name, "on": "uploads", "learns": spec.learns.value, "about": spec.about}
        for name, spec in ATTACKS.items()
    ]
    about = "the attackers paper and strong on the embedding and on all private state; fedau2-sim run has them too"
    return [*on_uploads, {"attack": PRIVATE, "on": "private state", "learns": "label", "about": about}]


def _datasets() -> list[dict[str, Any]]:
    from simulator.datasets import SOURCES, names

    homes = {name: source.home for name, source in SOURCES.items()}
    return [{"data set": name, "home": homes.get(name, "generated")} for name in names()]


_LISTS = {"models": _models, "presets": _presets, "attacks": _attacks, "datasets": _datasets}
