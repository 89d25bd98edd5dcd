"""The model that a run of the simulator keeps: one file of shared tensors, named by its hash and the items'."""

from collections.abc import Sequence
from pathlib import Path

from export.items import catalogue
from fedau2 import files
from fedau2.wire import blobs
from fedau2.wire.errors import BlobError

_PATTERN = "model-*.safetensors"


def write(folder: Path, tensors: blobs.Tensors, items: Sequence[str]) -> None:
    """Keeps a model in the folder of a run, in place of the one before it.

    Args:
        folder: of the run.
        tensors: of the model.
        items: ids of the items, in the order of the tensors' rows.

    Raises:
        OSError: the disk is full or broken. No model is kept then.
    """
    remove(folder)
    data = blobs.pack(tensors)
    files.write(folder / _name(data, items), data)


def remove(folder: Path) -> None:
    """Removes the model of a run, if it kept one."""
    for path in folder.glob(_PATTERN):
        path.unlink(missing_ok=True)


def read(folder: Path, items: Sequence[str]) -> blobs.Tensors | None:
    """Reads the model that a run kept; None: it kept none.

    Args:
        folder: of the run.
        items: ids of the run's items.

    Raises:
        BlobError: it is damaged.
        OSError: it cannot be read.
    """
    paths = list(folder.glob(_PATTERN))
    if not paths:
        return None
    if len(paths) > 1:
        raise BlobError("there is more than one")
    data = paths[0].read_bytes()
    if paths[0].name != _name(data, items):
        raise BlobError(f"{paths[0].name} does not match its hash, or the run's items are not those of the model")
    return blobs.unpack(data)


def _name(data: bytes, items: Sequence[str]) -> str:
    return _PATTERN.replace("*", blobs.sha256(blobs.sha256(data) + catalogue(items)).hex())
