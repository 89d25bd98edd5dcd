"""Laws of the vectors of secure sums: quantised, laid out, packed, masked, added up and opened."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedau2.v1.secure_pb2 import Grid
from fedau2.wire.contributions import Rows
from fedau2.wire.errors import ContributionError
from fedau2.wire.secure import masks, packing, rounding
from fedau2.wire.secure.context import Context, set_hash
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.policy import MODULUS_BITS, VALUE_BITS
from fedau2.wire.secure.quantise import vector
from fedau2.wire.secure.rounding import Numbers, square_sum
from tests import secure_tasks as make

pytest.importorskip("cryptography")

WORDS = np.array([1, 0, -1, 32767, -32768, 5])
SEEDS = bytes(range(32)), bytes(range(32, 64))
TEST = hashlib.sha256(b"test").digest()
PACKED = {
    20: "d43546bbf24305ae8f5b05742f8309",
    24: "d43526b42bbf43055efab8d50574af329870",
    28: "d435264fbbf29b43055ea38f5b2d0574af288309e7",
    32: "d435268fb42bbfb943055e43fab8d5c20574af483298707e",
}

bits_ = st.sampled_from(MODULUS_BITS)


def quantise(name, values, exponent, clip, largest):
    """The integers of some values as a tensor of its own, and whether they were scaled down."""
    numbers, grid = Numbers(values.reshape(1, 1, -1)), Grid(tensor=name, exponent=exponent, clip=clip)
    factors, total = rounding.fit(name, numbers, grid, largest), np.zeros((1, values.size), np.uint32)
    rounding.add(total, numbers, exponent, factors)
    return total.view(np.int32).reshape(values.shape), bool(factors[0] < 1)


FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def test_the_keystream_is_that_of_the_specification():
    expected = "ba2826a224b35d521f8e8a6cf48842b1cd5c130a00704d024d48e62c68df48de"
    assert masks.key(SEEDS[0], TEST).hex() == expected
    stream = masks.words(SEEDS[0], TEST, 6)
    assert stream.astype(">u4").tobytes().hex() == "8f2635d3b9bf2bb4435e0544c2d538fb48aff4057e70982d"


@pytest.mark.parametrize("bits", MODULUS_BITS)
def test_masked_words_are_packed_as_in_the_specification(bits):
    masked = WORDS + masks.words(SEEDS[0], TEST, 6).astype(np.int64)
    assert packing.pack(masked, bits).hex() == PACKED[bits]


def test_the_sum_of_masks_and_the_hash_of_a_set_are_those_of_the_specification():
    both = sum(masks.words(seed, TEST, 6).astype(np.int64) for seed in SEEDS)
    assert packing.pack(both, 24).hex() == "500006b323d2dbf3002d3c1ab71cfb1c84ab"
    members = [(bytes([k]) * 16, hashlib.sha256(text).digest()) for k, text in ((1, b"a"), (2, b"b"))]
    expected = "324eb6f542e69d64067a971eedd478baafd6cc218e0963c0a04a476bc36be585"
    assert set_hash(TEST, members).hex() == set_hash(TEST, members[::-1]).hex() == expected


def test_a_mask_is_the_same_in_blocks_and_another_in_every_context():
    long = masks.words(SEEDS[0], TEST, 2 * masks.BLOCK + 7)
    assert (long[: masks.BLOCK + 1] == masks.words(SEEDS[0], TEST, masks.BLOCK + 1)).all()
    assert (long[:64] != masks.words(SEEDS[0], hashlib.sha256(b"other").digest(), 64)).any()
    assert not masks.words(SEEDS[0], TEST, 0).size


@given(bits_, st.integers(0, 300), st.data())
def test_what_is_packed_is_read_back(bits, count, data):
    words = data.draw(hnp.arrays(np.int64, count, elements=st.integers(-(2**31), 2**32 - 1)))
    packed = packing.pack(words, bits)
    assert len(packed) == packing.size(count, bits)
    assert (packing.unpack(packed, count, bits) == words % 2**bits).all()


@pytest.mark.parametrize("count", [packing.BLOCK - 1, packing.BLOCK, packing.BLOCK + 1, 3 * packing.BLOCK + 5])
def test_blocks_leave_no_trace_in_the_bytes(count):
    words = np.random.default_rng(count).integers(0, 2**20, count)
    value = sum(int(word) << 20 * place for place, word in enumerate(words[:100].tolist()))
    packed = packing.pack(words, 20)
    assert packed[:250] == value.to_bytes(250, "little")
    assert (packing.unpack(packed, count, 20) == words).all()


@given(bits_, st.integers(0, 9), st.integers(-2, 2).filter(bool))
def test_bytes_of_another_length_are_refused(bits, count, more):
    data = bytes(max(0, packing.size(count, bits) + more))
    if len(data) != packing.size(count, bits):
        with pytest.raises(ContributionError):
            packing.unpack(data, count, bits)


def test_bits_after_the_last_integer_are_refused():
    with pytest.raises(ContributionError, match="not 0"):
        packing.unpack(b"\0\0\x10", 1, 20)


def test_other_widths_are_not_written():
    with pytest.raises(ValueError, match="23 bits"):
        packing.pack(WORDS, 23)


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(ValueError, match="5 words of a mask for 6 integers"):
        packing.pack(WORDS, 24, np.zeros(5, np.uint32))


@given(
    hnp.arrays(np.float32, hnp.array_shapes(max_dims=2, max_side=8), elements=FINITE),
    st.integers(-64, 64),
    st.integers(1, 2**16),
    st.sampled_from(VALUE_BITS),
)
def test_integers_obey_clip_and_width_for_every_finite_input(values, exponent, clip, value_bits):
    largest = 2 ** (value_bits - 1) - 1
    integers, clipped = quantise("t", values, exponent, clip, largest)
    assert integers.shape == values.shape
    assert sum(number**2 for number in integers.ravel().tolist()) <= clip**2
    assert int(np.abs(integers).max(initial=0)) <= largest
    exact = [Fraction(float(value)) * Fraction(2) ** exponent for value in values.ravel().tolist()]
    if not clipped:
        pairs = zip(integers.ravel().tolist(), exact, strict=True)
        assert all(abs(number - value) <= Fraction(1, 2) for number, value in pairs)
    signs = np.sign(integers)
    assert ((signs == 0) | (signs == np.sign(values))).all()


@given(hnp.arrays(np.float32, 40, elements=st.floats(-1, 1, width=32)), st.integers(200, 2000))
def test_what_is_scaled_down_keeps_its_direction_and_most_of_the_clip(values, clip):
    integers, clipped = quantise("t", values, 20, clip, 2**15 - 1)
    if clipped:
        norm = math.sqrt(square_sum(integers))
        assert norm >= 0.95 * min(clip, (2**15 - 1)) - math.sqrt(len(values))
        scaled = values.astype(np.float64) * norm / np.linalg.norm(values.astype(np.float64))
        assert np.abs(integers - scaled).max() <= 2


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(wrong):
    with pytest.raises(ContributionError, match="finite"):
        quantise("t", np.array([0.0, wrong], np.float32), 3, 9, 100)


@given(hnp.arrays(np.int64, st.integers(0, 50), elements=st.integers(-(2**31) + 1, 2**31 - 1)))
def test_squares_are_added_exactly(integers):
    assert square_sum(integers) == sum(number * number for number in integers.tolist())


VALUES = st.floats(-8, 8, width=32)


@st.composite
def rows(draw, width):
    indices = np.array(sorted(draw(st.sets(st.integers(0, 4)))), np.int64)
    return Rows(indices, draw(hnp.arrays(np.float32, (len(indices), width), elements=VALUES)))


def whole(name):
    return hnp.arrays(np.float32, make.SHAPES[name], elements=VALUES)


CONTRIBUTIONS = st.fixed_dictionaries(
    {}, optional={"table": rows(3) | whole("table"), "other": rows(2), "dense": whole("dense")}
)


@given(CONTRIBUTIONS, st.integers(-3, 12), st.integers(1, 2**13))
def test_a_vector_holds_canary_flags_and_tensors(contribution, exponent, clip):
    policy = make.policy(exponent=exponent, clip=clip)
    layout = Layout.of(make.task(policy))
    out = vector(contribution, policy, layout)
    assert out.shape == (layout.size,) == (4 + 2 * 3 + 5 + 15 + 10 + 4,)
    assert out[:4].tolist() == [1, 0, 0, 0]
    assert list(layout.tensors) == sorted(make.SHAPES)
    assert out[layout.carried].tolist() == [name in contribution for name in layout.tensors]
    touched = np.ones(5, np.bool_) if {"table", "other"} & contribution.keys() else np.zeros(5, np.bool_)
    for name, place in layout.tensors.items():
        part = out[place].reshape(layout.shapes[name])
        if name not in contribution:
            assert not part.any()
            continue
        update = contribution[name]
        values = update.values if isinstance(update, Rows) else update
        integers, clipped = quantise(name, values, exponent, clip, 2**13 - 1)
        kept = part[update.indices] if isinstance(update, Rows) else part
        assert (kept == integers).all()
        assert np.abs(part).sum() == np.abs(integers).sum()
        assert out[layout.clipped][list(layout.tensors).index(name)] == clipped
        if name in layout.tables:
            touched &= part.any(axis=1)
    assert out[layout.touched].tolist() == touched.tolist()


@pytest.mark.parametrize(
    "contribution",
    [
        {"strange": np.zeros(3, np.float32)},
        {"dense": np.zeros(3, np.float32)},
        {"dense": Rows(np.array([0]), np.zeros((1,), np.float32))},
        {"table": Rows(np.array([5]), np.zeros((1, 3), np.float32))},
        {"table": Rows(np.array([-1]), np.zeros((1, 3), np.float32))},
        {"table": Rows(np.array([1, 1]), np.zeros((2, 3), np.float32))},
        {"table": Rows(np.array([1]), np.zeros((1, 2), np.float32))},
    ],
)
def test_a_contribution_that_does_not_fit_is_refused(contribution):
    with pytest.raises(ContributionError):
        vector(contribution, make.policy(), Layout.of(make.task()))


def context(**changes):
    fields = {"task_id": b"t" * 16, "round": 3, "manifest": b"m" * 32, "checkpoint": b"c" * 32, "round_key": b"k" * 32}
    return Context(**{"policy": make.policy(), **fields, **changes}).hash()


def test_everything_that_a_mask_is_bound_to_changes_its_context():
    others = [
        context(task_id=b"u" * 16),
        context(round=4),
        context(manifest=b"n" * 32),
        context(checkpoint=b"d" * 32),
        context(policy=make.policy(minimum=65)),
        context(round_key=b"l" * 32),
    ]
    assert len({context(), *others}) == 1 + len(others)
    assert context() == context()
    for wrong in ({"task_id": b"t"}, {"manifest": b""}, {"checkpoint": b"c" * 33}):
        with pytest.raises(ValueError, match="bytes"):
            context(**wrong)


def test_a_set_with_a_lease_twice_or_with_another_width_has_no_hash():
    member = (b"l" * 16, b"d" * 32)
    for members in ([member, (b"l" * 16, b"e" * 32)], [(b"l", b"d" * 32)], [(b"l" * 16, b"d")]):
        with pytest.raises(ValueError, match=r"lease"):
            set_hash(TEST, members)
