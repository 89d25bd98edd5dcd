"""The vectors of `conformance/` are what this SDK computes, so that other languages are held to it."""

import base64

import numpy as np
import pytest

from scripts.conformance import __main__ as script
from scripts.conformance import comparing
from scripts.conformance.arrays import data

LARGEST = 2_000_000


@pytest.mark.parametrize("name", script.PARTS)
def test_the_vectors_are_not_stale(name):
    assert comparing.alike(script.read(name), script.through_json(script.PARTS[name]()))


@pytest.mark.parametrize("tables", script.TABLES)
def test_the_tables_are_not_stale(tables):
    assert tables.PATH.read_text("utf-8") == tables.module()


def test_the_vectors_stay_small():
    assert sum(file.stat().st_size for file in script.FOLDER.rglob("*") if file.is_file()) < LARGEST


def changed(text):
    content = bytearray(base64.b64decode(text))
    content[-1] ^= 0x40  # the exponent of the last number
    return data(bytes(content))


def test_other_numbers_are_noticed():
    vectors = script.read("training")
    other = script.read("training")
    other["updates"][3]["contribution"] = changed(other["updates"][3]["contribution"])
    assert comparing.alike(vectors, vectors)
    assert not comparing.alike(vectors, other)
    assert not comparing.alike({"a": 1}, {"a": 2})
    assert not comparing.alike([1], [1, 2])


def test_small_differences_of_a_runtime_are_none():
    vectors, other = script.read("training"), script.read("training")
    content = bytearray(base64.b64decode(vectors["updates"][0]["trained"]))
    content[-4] ^= 1  # the last bit of the last number
    other["updates"][0]["trained"] = data(bytes(content))
    assert comparing.alike(vectors, other)
    assert np.frombuffer(bytes(content[-4:]), "<f4") != 0
