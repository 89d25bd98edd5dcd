"""Plug-ins: packages and modules that add recommenders, attacks, data sets and more by name.

A plug-in is a `Plugin`. An installed package names it in the entry-point group `GROUP`. Any other module names it
`PLUGIN`, and is named itself by `--plugin`, by `use`, or in the environment variable `VARIABLE`, which processes that
are started later inherit. Nothing is imported before a name that this project does not have is looked up, or all names
are listed.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Generic, TypeVar

from fedau2.similar import did_you_mean

API = 1
"""Version of what a plug-in may add, and of how."""

GROUP = "fedau2.plugins"
"""The group of entry points in which a package names its plug-in."""

VARIABLE = "FEDAU2_PLUGINS"
"""The environment variable with the names of modules that are plug-ins, with commas between them."""

KINDS = (
    *("recommenders", "recommender_attacks", "presets", "attacks", "attackers", "datasets", "metrics"),
    "trackers",
)
"""Kinds of things that a plug-in may add."""

OPTION = "--plugin"
HELP = "a module whose PLUGIN adds recommenders, attacks, data sets and more (docs/plug-ins.md); may be repeated"

_NAME = re.compile(r"[a-z0-9][a-z0-9@.-]*")
Entry = TypeVar("Entry")


class PluginError(Exception):
    """A plug-in cannot be used."""


class Plugin:
    """The things that a package or a module adds.

    Args:
        name: of the plug-in.
        api: the `API` that it was written for.
        adds: for each of `KINDS` the added things by name. A thing is given itself, or as the text `module:attribute`,
            which is imported when the thing is first used.

    Raises:
        PluginError: it is for another version, or adds what nobody can add.
    """

    def __init__(self, name: str, *, api: int, **adds: Mapping[str, object]) -> None:
        if api != API:
            raise PluginError(
                f"the plug-in {name!r} is made for version {api} of plug-ins, and this FedAU2 has version {API}: "
                "install versions of both that fit"
            )
        for kind, things in adds.items():
            if kind not in KINDS:
                known = f"{', '.join(KINDS)} can be added{did_you_mean(kind, KINDS)}"
                raise PluginError(f"the plug-in {name!r} adds {kind!r}: only {known}")
            if wrong := [thing for thing in things if not _NAME.fullmatch(thing)]:
                raise PluginError(
                    f"the plug-in {name!r} adds {kind} {wrong[0]!r}: a name consists of small letters, digits, '-', "
                    "'.' and '@'"
                )
        self.name, self.adds = name, adds


_used: dict[str, Plugin] = {}


def use(plugin: str | Plugin) -> None:
    """Uses a plug-in from now on.

    Args:
        plugin: the name of a module, which processes that are started later use too, or a plug-in itself, which they
            do not. A plug-in replaces an earlier one of its name, so a cell of a notebook can be run again.

    Raises:
        PluginError: it cannot be used.
    """
    if isinstance(plugin, Plugin):
        _used[plugin.name] = plugin
        return
    _named(plugin)
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*_variable(), plugin]))


def taken(arguments: Sequence[str]) -> list[str]:
    """Uses the plug-ins that a command line names, wherever `--plugin` stands in it.

    Returns:
        The arguments that are left.

    Raises:
        PluginError: one cannot be used.
    """
    import argparse  # here, because devices do without it

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(OPTION, action="append", default=[])
    options, left = parser.parse_known_args(arguments)
    for name in options.plugin:
        use(name)
    return left


def names(kind: str) -> list[str]:
    """Lists what all plug-ins add of a kind, by name, and imports none of it.

    Raises:
        PluginError: a plug-in cannot be used.
    """
    return [name for plugin in _active() for name in plugin.adds.get(kind, {})]


def added(kind: str) -> dict[str, str]:
    """Returns the name of the plug-in for each name that `names` lists.

    Raises:
        PluginError: a plug-in cannot be used.
    """
    return {name: plugin.name for plugin in _active() for name in plugin.adds.get(kind, {})}


class Registry(MutableMapping[str, Entry], Generic[Entry]):
    """The things of a kind by name: those of this project, and those that plug-ins add.

    Looking up raises `PluginError` where a plug-in cannot be used, or adds a name that is there already.

    Args:
        kind: one of `KINDS`.
        expected: class of the things.
        ours: those of this project.
    """

    def __init__(self, kind: str, expected: type[object], ours: Mapping[str, Entry]) -> None:
        self._kind, self._expected, self._ours = kind, expected, dict(ours)

    def __getitem__(self, name: str) -> Entry:
        if name in self._ours:
            return self._ours[name]
        plugin, thing = self._added()[name]
        return self._made(name, plugin, thing)

    def __setitem__(self, name: str, thing: Entry) -> None:
        self._ours[name] = thing

    def __delitem__(self, name: str) -> None:
        del self._ours[name]

    def __contains__(self, name: object) -> bool:
        return name in self._ours or name in self._added()

    def __iter__(self) -> Iterator[str]:
        yield from self._ours
        yield from self._added()

    def __len__(self) -> int:
        return len(self._ours) + len(self._added())

    def _added(self) -> dict[str, tuple[Plugin, object]]:
        added: dict[str, tuple[Plugin, object]] = {}
        for plugin in _active():
            for name, thing in plugin.adds.get(self._kind, {}).items():
                if name in self._ours or name in added:
                    other = f"the plug-in {added[name][0].name!r}" if name in added else "FedAU2 itself"
                    raise PluginError(
                        f"the plug-in {plugin.name!r} adds {self._kind} {name!r}, which {other} has already: rename "
                        "one of them, or do without one plug-in"
                    )
                added[name] = plugin, thing
        return added

    def _made(self, name: str, plugin: Plugin, thing: object) -> Entry:
        place = f"{self._kind} {name!r} of the plug-in {plugin.name!r}"
        if isinstance(thing, str):
            thing = _imported(thing, place)
        if not isinstance(thing, self._expected):
            raise PluginError(f"{place} must be a {self._expected.__name__}, not a {type(thing).__name__}")
        return thing  # type: ignore[return-value]


def _active() -> list[Plugin]:
    plugins = dict.fromkeys([*_installed(), *map(_named, _variable()), *_used.values()])
    by_name: dict[str, Plugin] = {}
    for plugin in plugins:
        if by_name.setdefault(plugin.name, plugin) is not plugin:
            raise PluginError(f"two plug-ins are called {plugin.name!r}: rename one of them, or do without it")
    return list(plugins)


def _variable() -> list[str]:
    return [name for part in os.environ.get(VARIABLE, "").split(",") if (name := part.strip())]


@cache
def _installed() -> tuple[Plugin, ...]:
    from importlib import metadata  # takes as long to load as a small command runs

    points = metadata.entry_points(group=GROUP)
    return tuple(
        _plugin(point.value, f"the plug-in {point.name!r} of the package {_package(point)}") for point in points
    )


def _package(point: object) -> str:
    distribution = getattr(point, "dist", None)
    return distribution.name if distribution else "without a name"


@cache
def _named(module: str) -> Plugin:
    here = str(Path.cwd())
    if here not in sys.path:  # a program that is installed does not look there by itself
        sys.path.append(here)
    return _plugin(f"{module}:PLUGIN", f"the plug-in {module!r}")


def _plugin(reference: str, place: str) -> Plugin:
    plugin = _imported(reference, place)
    if not isinstance(plugin, Plugin):
        raise PluginError(f"{place} must be a fedau2.plugins.Plugin, not a {type(plugin).__name__}")
    return plugin


def _imported(reference: str, place: str) -> object:
    """Imports `module:attribute`. Whatever is raised by the module of somebody else, the plug-in is what is wrong."""
    module, _, attribute = reference.partition(":")
    try:
        thing: object = getattr(import_module(module), attribute)
        return thing
    except PluginError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{place} cannot be loaded: {reference}: {type(error).__name__}: {' '.join(str(error).split())}; repair "
            "it, or do without it"
        ) from error
