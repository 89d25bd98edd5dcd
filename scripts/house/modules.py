"""The modules of a checkout."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOMS = {
    "client_sdk": "client_sdk",
    "export": "export",
    "coordinator": "coordinator",
    "simulator": "simulator",
    "proto": "proto/fedau2",
    "unmasker": "unmasker",
}
"""The folder of each room, from the root of a checkout. A room that a version does not have is left out."""


@dataclass(frozen=True)
class Module:
    """A module of a room.

    Args:
        room: name of its room.
        name: its name as it is imported.
    """

    room: str
    name: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        """Its parsed source."""
        return ast.parse(self.path.read_text("utf-8"))


def modules(root: Path) -> Iterator[Module]:
    """Yields the modules of all rooms, without generated ones."""
    for room, folder in ROOMS.items():
        source_root = root / "proto" if folder.startswith("proto/") else root
        for path in sorted((root / folder).rglob("*.py")):
            if "_pb2" not in path.name:
                parts = path.relative_to(source_root).with_suffix("").parts
                yield Module(room, ".".join(parts).removesuffix(".__init__"), path)
