"""The files of a state folder as objects.

    TERM/PATH/GENERATION.OFFSET

An object holds the bytes of the file PATH, in the state folder of TERM, from OFFSET on. A file that is made anew under
the same name has a higher generation. So a key is used for the same bytes only, and what the store does late changes
nothing: an older generation does not count.
"""

import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from coordinator.errors import LedgerError, ObjectsError
from coordinator.store.disk import REAL
from coordinator.store.objects import Objects
from coordinator.store.state_folder import StateFolder

RECORDED, WITNESS, PAST = "operations.log", "witness", "terms"
"""The operators' log, the witness, and the names of the newest terms before, a line each.

The last is put after all others, so a term that has it is whole.
"""

FOLDERS = ("blobs", "log", "server-state")
"""Folders that every state folder has. One without files has no object."""

PARTS = ("aside", *FOLDERS, RECORDED, WITNESS, PAST)
"""Files and folders of a state folder that are objects too."""

AT_ONCE = 16
"""Requests under way at a time."""

_ATTEMPTS = 10
"""Most times that the objects of a term are read while its former leader removes some."""

_KEY = re.compile(r"[0-9a-f]{32}/(?P<name>[\w-][\w.-]*(?:/[\w-][\w.-]*)*)/(?P<generation>\d{10})\.(?P<offset>\d{16})")

T = TypeVar("T")


class Part(NamedTuple):
    """An object with a part of a file, from an offset on. Lengths are in bytes."""

    offset: int
    size: int
    key: str


def key(term: str, name: str, generation: int, offset: int = 0) -> str:
    """Returns the key of a part of a file, by the file's path in the state folder."""
    return f"{term}/{name}/{generation:010}.{offset:016}"


def listed(objects: Objects, term: str) -> dict[str, list[Part]]:
    """Lists the files of a term by their paths, each with the parts of its newest generation in their order.

    Raises:
        ObjectsError: the store cannot be used.
    """
    found: dict[str, dict[int, list[Part]]] = defaultdict(lambda: defaultdict(list))
    for item in objects.list(term):
        match = _KEY.fullmatch(item.key)
        if match is not None and match["name"].partition("/")[0] in PARTS:
            part = Part(int(match["offset"]), item.size, item.key)
            found[match["name"]][int(match["generation"])].append(part)
    return {name: sorted(generations[max(generations)]) for name, generations in found.items()}


def fetch(objects: Objects, term: str, folder: Path) -> dict[str, list[Part]]:
    """Reads the state folder of a term, which gets its id.

    Args:
        objects: the store.
        term: id of the state folder.
        folder: an empty folder.

    Returns:
        The files that were read, as `listed`.

    Raises:
        LedgerError: it is not there.
        ObjectsError: the store cannot be used.
        OSError: the disk is full or broken.
    """
    for _ in range(_ATTEMPTS):
        found = listed(objects, term)
        if PAST not in found:
            raise LedgerError(
                f"the object store has no state folder with id {term}: give --objects and --database that belong "
                "together"
            )
        try:
            read(objects, {folder / name: parts for name, parts in found.items()})
        except FileNotFoundError:  # what its leader removes is not needed
            for part in PARTS:
                _remove(folder / part)
        else:
            for part in FOLDERS:
                REAL.make_folder(folder / part)
            StateFolder(folder).name(term, REAL)
            return found
    raise ObjectsError(f"objects of {term} vanish from the object store while they are read: find out who removes them")


def at_once(work: Callable[[T], object], values: Iterable[T]) -> None:
    """Does the same work for several values on several threads. The first error is raised."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(work, values):
            pass


def read(objects: Objects, files: Mapping[Path, Sequence[Part]]) -> None:
    """Reads files of these parts. A gap, where a part was lost, is read as zeros, and so as damage.

    Raises:
        FileNotFoundError: a part was removed.
        ObjectsError: the store cannot be used.
        OSError: the disk is full or broken.
    """
    for path in files:
        REAL.make_folder(path.parent)
        REAL.create(path).close()
    at_once(lambda entry: _fill(objects, *entry), [(path, part) for path, parts in files.items() for part in parts])
    at_once(_sync, files)
    for parent in {path.parent for path in files}:
        REAL.sync_folder(parent)


def _fill(objects: Objects, path: Path, part: Part) -> None:
    with path.open("r+b") as file:
        file.seek(part.offset)
        for piece in objects.read(part.key, part.size):
            REAL.write(file, piece)


def _sync(path: Path) -> None:
    with path.open("r+b") as file:
        REAL.sync(file)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
