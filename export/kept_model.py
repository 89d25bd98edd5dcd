"""The model that a run of the simulator keeps: one file of shared tensors, whose name is its hash."""

from pathlib import Path

from fedau2 import files
from fedau2.wire import blobs
from fedau2.wire.errors import BlobError

_PATTERN = "model-*.safetensors"


def write(folder: Path, tensors: blobs.Tensors) -> None:
    """Keeps a model in the folder of a run, in place of the one before it.

    Raises:
        OSError: the disk is full or broken. No model is kept then.
    """
    remove(folder)
    data = blobs.pack(tensors)
    files.write(folder / _PATTERN.replace("*", blobs.sha256(data).hex()), data)


def remove(folder: Path) -> None:
    """Removes the model of a run, if it kept one."""
    for path in folder.glob(_PATTERN):
        path.unlink(missing_ok=True)


def read(folder: Path) -> blobs.Tensors | None:
    """Reads the model that a run kept; None: it kept none.

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
    if paths[0].name != _PATTERN.replace("*", blobs.sha256(data).hex()):
        raise BlobError(f"{paths[0].name} does not match its hash")
    return blobs.unpack(data)
