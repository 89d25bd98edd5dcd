"""Encoded checkpoints keep what they promise, whatever the tensors are."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedau2.v1.device_pb2 import Assignment
from fedau2.v1.task_pb2 import (
    CHECKPOINT_ENCODING_FLOAT16,
    CHECKPOINT_ENCODING_INT8,
    CHECKPOINT_ENCODING_UNSPECIFIED,
    EncodedCheckpoint,
    Resource,
    TaskManifest,
)
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY, TENSOR_SCOPE_SHARED, TENSOR_SCOPE_STATISTIC, TensorSpec
from fedau2.wire import blobs, encodings
from fedau2.wire.encodings import SHORT, decode, encode, scales
from fedau2.wire.errors import BlobError

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=2 * SHORT)
TENSORS = st.dictionaries(st.sampled_from("abc"), SHAPES.flatmap(lambda s: hnp.arrays(np.float32, s, elements=FLOATS)))


BYTES = {"float32": "344aaa4243315816", "float16": "e14b69c743c51e64", "int8": "a945a1ef2bf22679"}


def rows(tensor):
    return tensor.reshape(len(tensor), -1).astype(np.float64)


@given(TENSORS)
def test_float32_is_exact(tensors):
    decoded = decode(encode(tensors, CHECKPOINT_ENCODING_UNSPECIFIED))
    assert {name: tensor.tobytes() for name, tensor in decoded.items()} == {
        name: tensor.tobytes() for name, tensor in tensors.items()
    }


@given(TENSORS, st.sampled_from([CHECKPOINT_ENCODING_FLOAT16, CHECKPOINT_ENCODING_INT8]))
def test_shapes_and_types_are_those_of_float32_and_every_value_is_finite(tensors, encoding):
    decoded = decode(encode(tensors, encoding))
    assert {name: tensor.shape for name, tensor in decoded.items()} == {
        name: tensor.shape for name, tensor in tensors.items()
    }
    for name, tensor in decoded.items():
        assert tensor.dtype == np.float32
        assert np.isfinite(tensor).all()
        if tensors[name].ndim < 2 or tensors[name][0].size < SHORT:
            assert tensor.tobytes() == tensors[name].tobytes()


@given(TENSORS, st.sampled_from([CHECKPOINT_ENCODING_FLOAT16, CHECKPOINT_ENCODING_INT8]))
def test_statistics_stay_exact_beside_tensors_that_do_not(tensors, encoding):
    scopes = dict(zip("abc", [TENSOR_SCOPE_STATISTIC, TENSOR_SCOPE_SHARED, TENSOR_SCOPE_ADVERSARY], strict=True))
    task = TaskManifest(tensors=[TensorSpec(name=name, scope=scope) for name, scope in scopes.items()])
    decoded = decode(encode(tensors, encoding, encodings.exact(task)))
    rounded = decode(encode(tensors, encoding))
    for name, tensor in decoded.items():
        assert tensor.tobytes() == (tensors if name == "a" else rounded)[name].tobytes()


@given(TENSORS)
def test_int8_is_off_by_half_a_step_of_its_row(tensors):
    for name, tensor in decode(encode(tensors, CHECKPOINT_ENCODING_INT8)).items():
        if tensor.ndim > 1:
            exact = rows(tensors[name])
            step = np.abs(exact).max(1, keepdims=True) / 127
            assert (np.abs(rows(tensor) - exact) <= 0.501 * step + 2e-43).all()  # of the smallest numbers


@given(TENSORS.filter(bool))
def test_float16_is_the_nearest_float16(tensors):
    for name, tensor in decode(encode(tensors, CHECKPOINT_ENCODING_FLOAT16)).items():
        if tensor.ndim > 1 and tensor[0].size >= SHORT:
            nearest = np.clip(tensors[name], -65504, 65504).astype(np.float16)
            assert (tensor.astype(np.float16) == nearest).all()


@given(TENSORS, st.sampled_from(list(encodings.NAMES.values())))
def test_equal_tensors_give_equal_bytes_and_decoding_changes_nothing_twice(tensors, encoding):
    data = encode(tensors, encoding)
    assert encode(dict(reversed(tensors.items())), encoding) == data
    assert blobs.pack(decode(data)) == blobs.pack(decode(data))
    if encoding != CHECKPOINT_ENCODING_INT8:
        assert encode(decode(data), encoding) == data


def test_the_bytes_are_those_of_every_machine():
    tensor = (np.arange(-40, 40, dtype=np.float32) ** 3 / 7).reshape(5, 16)
    assert {
        name: hashlib.sha256(encode({"table": tensor, "bias": tensor[0]}, encoding)).hexdigest()[:16]
        for name, encoding in encodings.NAMES.items()
    } == BYTES


@pytest.mark.parametrize(
    "stored",
    [
        {"a": np.zeros((2, 9), np.int8)},
        {"a": np.zeros((2, 9), np.int8), scales("a"): np.zeros(3, np.float32)},
        {"a": np.zeros((2, 9), np.int8), scales("a"): np.zeros((2, 1), np.float32)},
        {"a": np.zeros((2, 9), np.int8), scales("a"): np.zeros(2, np.float16)},
        {"a": np.zeros(9, np.int8), scales("a"): np.zeros(9, np.float32)},
    ],
)
def test_numbers_without_their_scales_are_refused(stored):
    with pytest.raises(BlobError, match="no scales for the rows of 'a'"):
        decode(blobs.pack(stored))


def test_other_types_are_left_for_the_manifest_to_refuse():
    assert decode(blobs.pack({"a": np.zeros((2, 9))}))["a"].dtype == np.float64


@pytest.mark.parametrize(("encoding", "expected"), [(1, b"small"), (2, b"small"), (99, b"exact"), (0, b"small")])
def test_a_device_takes_an_encoding_that_it_knows(encoding, expected):
    encoded = EncodedCheckpoint(encoding=encoding, resource=Resource(sha256=b"small"))
    assert encodings.offered(Assignment(checkpoint=Resource(sha256=b"exact"), encoded=encoded)).sha256 == expected
    assert encodings.offered(Assignment(checkpoint=Resource(sha256=b"exact"))).sha256 == b"exact"
