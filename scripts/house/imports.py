"""Arrows between modules, and between the rooms within a room."""

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from scripts.house.modules import Module

Arrows = Mapping[str, frozenset[str]]
"""The names that each name imports."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of an import graph.

    Args:
        nodes: its modules or rooms.
        arrows: pairs of an importer and what it imports.
        floors: names on the longest way from an importer down. A circle counts as one.
        circles: the groups of names that import each other.
    """

    nodes: int
    arrows: int
    floors: int
    circles: tuple[tuple[str, ...], ...]


def between_modules(modules: Collection[Module]) -> Arrows:
    """Arrows between some modules. Imports inside functions count, those for type checkers alone do not."""
    names = {module.name for module in modules}
    return {module.name: frozenset(_targets(module, names) - {module.name}) for module in modules}


def between_rooms(arrows: Arrows, depth: int) -> Arrows:
    """The same arrows between the parts of names that are `depth` long. A shorter name is a room of its own."""
    rooms: dict[str, set[str]] = {}
    for name, targets in arrows.items():
        room = _cut(name, depth)
        rooms.setdefault(room, set()).update({_cut(target, depth) for target in targets} - {room})
    return {room: frozenset(targets) for room, targets in rooms.items()}


def shape(arrows: Arrows) -> Shape:
    """Counts nodes, arrows and floors, and finds circles."""
    groups = _groups(arrows)
    group_of = {name: group for group in groups for name in group}
    below = {group: {group_of[target] for name in group for target in arrows[name]} - {group} for group in groups}
    floors: dict[tuple[str, ...], int] = {}
    for group in TopologicalSorter(below).static_order():
        floors[group] = 1 + max((floors[other] for other in below[group]), default=0)
    circles = tuple(sorted(group for group in groups if len(group) > 1))
    return Shape(len(arrows), sum(map(len, arrows.values())), max(floors.values(), default=0), circles)


def _cut(name: str, depth: int) -> str:
    return ".".join(name.split(".")[:depth])


def _targets(module: Module, names: Collection[str]) -> set[str]:
    targets = set()
    for node in _imports(module.tree.body):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif node.module and not node.level:
            inner = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            targets |= {path if path in names else node.module for path in inner.values()}
    return targets & set(names)


def _imports(nodes: Iterable[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _imports(node.orelse)
        else:
            yield from _imports(ast.iter_child_nodes(node))


def _groups(arrows: Arrows) -> list[tuple[str, ...]]:
    """Strongly connected groups: names that reach each other."""
    reached = {name: _reached(name, arrows) for name in arrows}
    groups = {tuple(sorted(o for o in reached[name] | {name} if o == name or name in reached[o])) for name in arrows}
    return sorted(groups)


def _reached(start: str, arrows: Arrows) -> set[str]:
    reached, waiting = set[str](), [start]
    while waiting:
        new = arrows[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached
