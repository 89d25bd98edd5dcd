import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedau2.v1 import tensors_pb2
from fedau2.v1.task_pb2 import Resource
from fedau2.v1.tensors_pb2 import Contribution, RowSlices, TensorSpec, TensorUpdate
from fedau2.wire import blobs, contributions, fixed
from fedau2.wire.contributions import Rows
from fedau2.wire.errors import BlobError, ContributionError, WireError

ITEMS, WIDTH = 9, 3
SPECS = {
    "table": TensorSpec(name="table", shape=[ITEMS, WIDTH], dtype=1, kind=2, scope=1),
    "dense": TensorSpec(name="dense", shape=[4], dtype=1, kind=1, scope=2),
    "own": TensorSpec(name="own", shape=[4], dtype=1, kind=1, scope=3),
}
floats = st.floats(-100, 100, width=32)
rows = st.sets(st.integers(0, ITEMS - 1)).flatmap(
    lambda taken: hnp.arrays(np.float32, (len(taken), WIDTH), elements=floats).map(
        lambda values: Rows(np.array(sorted(taken), np.int64), values)
    )
)
updates = st.fixed_dictionaries(
    {},
    optional={
        "table": rows | hnp.arrays(np.float32, (ITEMS, WIDTH), elements=floats),
        "dense": hnp.arrays(np.float32, 4, elements=floats),
    },
).filter(bool)


@given(updates)
def test_a_contribution_survives_the_wire(sent):
    data = contributions.encode(sent)
    received = contributions.Decoder(SPECS, 100)(data)
    assert received.keys() == sent.keys()
    for name, update in sent.items():
        if isinstance(update, Rows):
            np.testing.assert_array_equal(received[name].indices, update.indices)
            np.testing.assert_array_equal(received[name].values, update.values)
        else:
            np.testing.assert_array_equal(received[name], update)
    assert len(data) <= contributions.largest(SPECS.values())


def message(name, update):
    """The message that a contribution's part is."""
    values = np.ascontiguousarray(getattr(update, "values", update), "<f4")
    whole = TensorUpdate(name=name, dtype=1, shape=values.shape)
    if isinstance(update, Rows):
        whole.rows.CopyFrom(RowSlices(indices=update.indices.astype("<u4").tobytes(), values=values.tobytes()))
    else:
        whole.dense = values.tobytes()
    return whole


large = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=70).flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=floats, fill=floats)
)
named = st.dictionaries(st.text(max_size=200).filter(lambda name: len(name.encode()) < 200), rows | large, max_size=3)


@given(named)
def test_what_is_put_together_is_what_protobuf_writes(sent):
    whole = Contribution(tensors=[message(name, sent[name]) for name in sorted(sent)])
    assert contributions.encode(sent) == whole.SerializeToString(deterministic=True)


@given(updates)
def test_equal_contributions_have_equal_bytes(sent):
    assert contributions.encode(dict(reversed(sent.items()))) == contributions.encode(sent)


@given(
    hnp.arrays(np.float32, 6, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    st.sampled_from([0.1, 0.5, 4.2, 1e4]),
)
def test_what_is_clipped_is_accepted(values, bound):
    clipped = contributions.clip({"dense": values[:4], "table": Rows(np.array([1, 4]), values.reshape(2, 3))}, bound)
    received = contributions.Decoder(SPECS, bound)(contributions.encode(clipped))
    assert float(np.abs(received["dense"]).max()) <= bound
    inside = np.abs(values[:4]).astype(float) <= bound
    np.testing.assert_array_equal(received["dense"][inside], values[:4][inside])


def update(**changes):
    fields = {"name": "dense", "dtype": 1, "shape": [4], "dense": np.zeros(4, "<f4").tobytes()} | changes
    return TensorUpdate(**{name: value for name, value in fields.items() if value is not None})


def table(indices, values=None, shape=None):
    values = np.zeros((len(indices), WIDTH), "<f4") if values is None else values
    body = RowSlices(indices=np.array(indices, "<u4").tobytes(), values=values.tobytes())
    return TensorUpdate(name="table", dtype=1, shape=shape or [len(indices), WIDTH], rows=body)


BAD = {
    "unknown name": update(name="nobody"),
    "private tensor": update(name="own"),
    "dtype": update(dtype=7),
    "shape": update(shape=[2, 2]),
    "too few bytes": update(dense=b"\0" * 12),
    "no body": update(dense=None),
    "rows of a dense tensor": update(dense=None, rows=RowSlices()),
    "nan": update(dense=np.array([0, np.nan, 0, 0], "<f4").tobytes()),
    "infinity": update(dense=np.array([0, 0, -np.inf, 0], "<f4").tobytes()),
    "beyond the bound": update(dense=np.array([0, 0, 0, 101], "<f4").tobytes()),
    "row out of range": table([0, ITEMS]),
    "repeated row": table([2, 2]),
    "rows out of order": table([3, 1]),
    "row shape": table([0, 1], shape=[2, WIDTH + 1]),
    "odd row numbers": TensorUpdate(name="table", dtype=1, shape=[1, WIDTH], rows=RowSlices(indices=b"abc")),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_tensor_is_refused_by_name(what):
    data = Contribution(tensors=[BAD[what]]).SerializeToString()
    with pytest.raises(ContributionError):
        contributions.Decoder(SPECS, 100)(data)


@pytest.mark.parametrize("tensors", [[], [update(), update()], [update(), table([0]), update()]])
def test_names_are_present_sorted_and_unique(tensors):
    with pytest.raises(ContributionError):
        contributions.Decoder(SPECS, 100)(Contribution(tensors=tensors).SerializeToString())


@given(st.binary(max_size=200))
def test_noise_is_refused_or_is_a_contribution(data):
    with contextlib.suppress(WireError):
        contributions.Decoder(SPECS, 100)(data)


@given(hnp.arrays(np.float32, 20, elements=floats), st.integers(1, 1000))
def test_fixed_point_keeps_what_the_bound_allows(values, maximum):
    total = fixed.to_fixed(values) * maximum
    np.testing.assert_allclose(fixed.mean(total, maximum), values, rtol=0, atol=2.0**-41)


@given(st.integers(1, 10**6))
def test_as_many_contributions_as_allowed_cannot_overflow(maximum):
    largest = fixed.to_fixed(np.array([fixed.bound(maximum)], np.float32))
    assert abs(int(largest[0])) * maximum < 2**63


@given(st.lists(hnp.arrays(np.float32, 5, elements=floats), min_size=1, max_size=8), st.randoms())
def test_fixed_point_sums_do_not_depend_on_order(parts, random):
    shuffled = random.sample(parts, len(parts))
    forwards = sum((fixed.to_fixed(part) for part in parts), np.zeros(5, np.int64))
    backwards = sum((fixed.to_fixed(part) for part in shuffled), np.zeros(5, np.int64))
    np.testing.assert_array_equal(forwards, backwards)


@given(st.binary(max_size=2000), st.integers(0, 2000), st.integers(1, 300))
def test_chunks_put_together_are_the_blob(data, offset, size):
    offset = min(offset, len(data))
    assembler = blobs.Assembler(blobs.resource(data), data[:offset])
    for chunk in blobs.chunks(data, offset):
        assembler.add(chunk)
    assert assembler.finish() == data


@given(st.binary(min_size=1, max_size=100), st.integers(0, 799))
@settings(max_examples=50)
def test_a_flipped_bit_is_seen(data, bit):
    bit %= 8 * len(data)
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BlobError, match="damaged"):
        blobs.check(bytes(damaged), blobs.resource(data))


def test_more_or_fewer_bytes_than_declared_are_refused():
    assembler = blobs.Assembler(Resource(sha256=bytes(32), size=3))
    assembler.add(b"ab")
    with pytest.raises(BlobError):
        assembler.add(b"cd")
    with pytest.raises(BlobError):
        assembler.finish()


def test_checkpoints_survive_and_do_not_depend_on_order():
    tensors = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(2, np.float32)}
    data = blobs.pack(tensors)
    assert data == blobs.pack(dict(reversed(tensors.items())))
    for name, value in blobs.unpack(data).items():
        np.testing.assert_array_equal(value, tensors[name])
    with pytest.raises(BlobError):
        blobs.unpack(data[:-3])


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), min_size=1), min_size=1, unique=True))
def test_a_catalogue_keeps_its_order(items):
    assert blobs.catalogue("\n".join(items).encode() + b"\n") == items


@pytest.mark.parametrize("data", [b"a\n\nb", b"a\nb\na", b"\xff", b""])
def test_a_bad_catalogue_is_refused(data):
    with pytest.raises(BlobError):
        blobs.catalogue(data)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=9))
def test_the_first_id_that_comes_again_is_named(items):
    again = next(item for number, item in enumerate(items) if item in items[:number])
    with pytest.raises(BlobError, match=f"lists '{again}' twice"):
        blobs.catalogue("\n".join(items).encode())


def test_a_repeated_id_at_the_end_of_a_long_catalogue_takes_no_quadratic_time():
    with pytest.raises(BlobError, match="lists '499999' twice"):  # would take hours
        blobs.catalogue("\n".join([*map(str, range(500_000)), "499999"]).encode())


def test_the_kinds_and_scopes_of_the_specs_are_what_the_tests_mean():
    assert SPECS["table"].kind == tensors_pb2.TENSOR_KIND_TABLE
    assert SPECS["own"].scope == tensors_pb2.TENSOR_SCOPE_PRIVATE
