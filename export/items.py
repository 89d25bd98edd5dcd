"""The items of a bundle: their ids, in the order of the catalogue."""

from collections.abc import Sequence
from pathlib import Path

from export.errors import ItemsError
from fedau2.wire import blobs
from fedau2.wire.errors import BlobError


def read_items(path: Path) -> list[str]:
    """Item ids from a UTF-8 file, one a line.

    Raises:
        ItemsError: the file cannot be read, is empty, has an empty line or repeats an item.
    """
    try:
        items = path.read_text("utf-8-sig").removesuffix("\n").split("\n")
        catalogue([] if items == [""] else items)
    except (OSError, UnicodeDecodeError) as error:
        raise ItemsError(f"{path}: the items cannot be read: {error}") from error
    except ItemsError as error:
        raise ItemsError(f"{path}: {error}") from error
    return items


def catalogue(items: Sequence[str]) -> bytes:
    """The catalogue blob of item ids.

    Raises:
        ItemsError: they cannot be a catalogue.
    """
    if not items:
        raise ItemsError("there are no items; one item id a line is expected")
    data = "".join(f"{item}\n" for item in items).encode()
    try:
        listed = blobs.catalogue(data)
    except BlobError as error:
        raise ItemsError(str(error)) from error
    if len(listed) != len(items):
        raise ItemsError("an item id holds a line break")
    return data
