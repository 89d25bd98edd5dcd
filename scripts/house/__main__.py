"""The command line of the measurements."""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from scripts import prose
from scripts.house import defaults, imports, names
from scripts.house.modules import ROOMS, Module, modules


def main(arguments: list[str] | None = None) -> None:
    """Prints the measurements as Markdown tables."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.house",
        description="Measures folders, imports, names, prose and defaults of a checkout.",
    )
    parser.add_argument("root", nargs="?", type=Path, default=Path(), help="root of the checkout (default: .)")
    root = parser.parse_args(arguments).root
    everything = [*modules(root)]
    if not everything:
        parser.error(f"{root} holds none of the folders {', '.join(ROOMS.values())}")
    print("\n\n".join("\n".join(section) for section in _sections(root, everything)))


def _sections(root: Path, everything: Sequence[Module]) -> Iterator[Iterable[str]]:
    rooms = dict.fromkeys(module.room for module in everything)
    yield "## Folders", "", *_folders(root, everything)
    yield "## Imports", "", *_imports({room: [m for m in everything if m.room == room] for room in rooms})
    yield "## Names", "", *_names(everything)
    yield "## Prose", "", *_prose(root)
    yield "## Defaults of the plan", "", *_defaults(root, everything)


def _folders(root: Path, everything: Sequence[Module]) -> Iterator[str]:
    sizes = Counter((module.room, module.path.parent.relative_to(root).as_posix()) for module in everything)
    rows = []
    for room in dict.fromkeys(module.room for module in everything):
        own_sizes = {folder: size for (owner, folder), size in sizes.items() if owner == room}
        largest = max(own_sizes, key=lambda folder: own_sizes[folder])
        rows.append((room, sum(own_sizes.values()), len(own_sizes), f"`{largest}`", own_sizes[largest]))
    return _table(("room", "files", "folders", "largest folder", "files in it"), rows)


def _imports(rooms: dict[str, list[Module]]) -> Iterator[str]:
    arrows = imports.between_modules([module for room in rooms.values() for module in room])
    graphs = {"all rooms": imports.between_rooms(arrows, 1)}
    for room, members in rooms.items():
        inside = imports.between_modules(members)
        graphs[f"modules of {room}"] = inside
        graphs[f"rooms in {room}"] = imports.between_rooms(inside, members[0].name.count(".") + 2)
    shapes = {name: imports.shape(graph) for name, graph in graphs.items()}
    rows = [(name, s.nodes, s.floors, s.arrows, len(s.circles)) for name, s in shapes.items()]
    yield from _table(("graph", "nodes", "floors", "arrows", "circles"), rows)
    circles = [f"* {name}: {', '.join(circle)}" for name, s in shapes.items() for circle in s.circles]
    yield from ("", "Circles:", "", *circles) if circles else ()


def _names(everything: Sequence[Module]) -> Iterator[str]:
    bound = [names.names_of(function) for module in everything for function in names.functions(module)]
    vague = [name for some in bound for name in some & names.VAGUE]
    share = sum(1 for some in bound if some & names.VAGUE) / len(bound)
    missing = [name for module in everything for name in names.undocumented(module)]
    rows: list[tuple[object, ...]] = [
        ("functions", len(bound)),
        ("functions with a local that says little", f"{share:.1%}"),
        ("such locals", f"{len(vague)}: {', '.join(f'{n} {c}' for n, c in Counter(vague).most_common())}"),
        ("public names without a docstring", f"{len(missing)} {', '.join(missing)}".strip()),
    ]
    return _table(("names", "measured"), rows)


def _prose(root: Path) -> Iterator[str]:
    paths = [path for path in prose.files([root]) if "tests" not in path.relative_to(root).parts]
    findings = {path: prose.check(path) for path in paths}
    rows = []
    for kind, suffix in (("pages", ".md"), ("modules", ".py"), ("protocol files", ".proto")):
        numbers = [len(findings[path]) for path in paths if path.suffix == suffix]
        rows.append((kind, len(numbers), sum(1 for number in numbers if number), sum(numbers)))
    yield from _table(("prose of", "files", "that fail the linter", "findings"), rows)
    rules = Counter(finding.rule for some in findings.values() for finding in some)
    yield from ("", *_table(("rule", "findings"), rules.most_common())) if rules else ()


def _defaults(root: Path, everything: Sequence[Module]) -> Iterator[str]:
    places = [(n, v, f"{_of(m.path, root)}:{line}") for m in everything for n, line, v in defaults.in_module(m)]
    for path in sorted(root.glob("examples/**/*.yaml")):
        places += [(name, value, f"{_of(path, root)}:{line}") for name, line, value in defaults.in_yaml(path)]
    rows = []
    for name in defaults.NAMES:
        written = [f"{value} `{place}`" for other, value, place in places if other == name]
        rows.append((name, len(written), ", ".join(written)))
    return _table(("default", "places", "written in"), rows)


def _of(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    for cells in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
