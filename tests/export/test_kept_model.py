"""The model of a run is kept whole or not at all, and only one of it."""

import errno

import numpy as np
import pytest

from export import kept_model
from fedau2 import files
from fedau2.wire.errors import BlobError

MODEL = {"items": np.arange(6, dtype=np.float32).reshape(3, 2), "bias": np.ones(1, np.float32)}

ITEMS = ["one", "two", "three"]


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_a_kept_model_is_read_again(tmp_path):
    assert kept_model.read(tmp_path, ITEMS) is None
    kept_model.write(tmp_path, MODEL, ITEMS)
    assert same(kept_model.read(tmp_path, ITEMS), MODEL)
    other = {"items": MODEL["items"] + 1}
    kept_model.write(tmp_path, other, ITEMS)
    assert same(kept_model.read(tmp_path, ITEMS), other)
    kept_model.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("position", [0, 40, -1])
def test_a_changed_byte_is_found(tmp_path, position):
    kept_model.write(tmp_path, MODEL, ITEMS)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(BlobError, match="does not match its hash"):
        kept_model.read(tmp_path, ITEMS)


def test_other_items_are_found(tmp_path):
    kept_model.write(tmp_path, MODEL, ITEMS)
    with pytest.raises(BlobError, match="the run's items are not those of the model"):
        kept_model.read(tmp_path, ITEMS[::-1])


def test_of_two_models_none_is_chosen(tmp_path):
    kept_model.write(tmp_path, MODEL, ITEMS)
    (tmp_path / "model-00.safetensors").write_bytes(b"")
    with pytest.raises(BlobError, match="more than one"):
        kept_model.read(tmp_path, ITEMS)


def test_a_full_disk_keeps_no_model(tmp_path, monkeypatch):
    def full(self, file, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    kept_model.write(tmp_path, MODEL, ITEMS)
    monkeypatch.setattr(files.Steps, "write", full)
    with pytest.raises(OSError, match="No space"):
        kept_model.write(tmp_path, {"items": MODEL["items"] + 1}, ITEMS)
    assert list(tmp_path.iterdir()) == []
