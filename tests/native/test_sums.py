"""The library's integers of secure sums are NumPy's, in every byte and for every variant that this processor runs."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedau2 import native
from fedau2.v1.secure_pb2 import Grid
from fedau2.wire.errors import ContributionError
from fedau2.wire.secure import packing, rounding
from fedau2.wire.secure.policy import MODULUS_BITS, VALUE_BITS
from fedau2.wire.secure.rounding import Numbers, Products

fixtures = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FLOATS = st.one_of(
    st.floats(width=32),  # with NaN, infinities, negative zero and numbers below 2^-126
    st.floats(-4, 4, width=32),
    st.integers(-40, 40).map(lambda number: number / 2),  # halves are rounded to even
)
TOTAL = 7
"""Rows of the tensor."""


@pytest.fixture
def both(variant, monkeypatch):
    """Computes something with NumPy and with the library."""

    def compute(work):
        results = []
        for library in (None, variant):
            monkeypatch.setattr(native, "arithmetic", lambda library=library: library)
            results.append(work())
        return results

    return compute


def floats(draw, *shape):
    return draw(hnp.arrays(np.float32, shape, elements=FLOATS))


@st.composite
def tensors(draw):
    """Numbers of up to three devices: whole tensors or rows, of any width, dense or as products."""
    devices, width = draw(st.integers(0, 3)), draw(st.sampled_from([1, 2, 3, 7, 16, 33]))
    some = draw(st.booleans())
    rows = draw(st.integers(0, TOTAL)) if some else TOTAL
    if draw(st.booleans()):
        values = Products(floats(draw, devices, rows), floats(draw, devices, width))
    else:
        values = floats(draw, devices, rows, width)
    if not some:
        return Numbers(values)
    if draw(st.booleans()):
        order = np.array(draw(st.permutations(range(TOTAL))), np.int64)[:rows]
        return Numbers(values, np.broadcast_to(order, (devices, rows)))
    orders = [draw(st.permutations(range(TOTAL)))[:rows] for _ in range(devices)]
    counts = draw(st.lists(st.integers(0, rows), min_size=devices, max_size=devices))
    return Numbers(values, np.array(orders, np.int64).reshape(devices, rows), np.array(counts, np.int64))


def added(numbers, exponent, clip, largest):
    """All that rounding gives: factors, the sum and which rows are touched; or that a number is not finite."""
    grid = Grid(tensor="t", exponent=exponent, clip=clip)
    devices, _, width = numbers.shape
    total = np.full((TOTAL, width), 2**32 - 2, np.uint32)
    touched = np.zeros((devices, TOTAL), np.bool_)
    try:
        factors = rounding.fit("t", numbers, grid, largest)
    except ContributionError as error:
        return str(error)
    rounding.add(total, numbers, exponent, factors, touched)
    untold = np.full((TOTAL, width), 2**32 - 2, np.uint32)
    rounding.add(untold, numbers, exponent, factors)
    assert (untold == total).all()
    return factors.tobytes(), total.tobytes(), touched.tobytes()


@given(tensors(), st.integers(-64, 64), st.integers(1, 2**16), st.sampled_from(VALUE_BITS))
@fixtures
def test_every_number_becomes_the_same_integer(both, numbers, exponent, clip, value_bits):
    ours, theirs = both(lambda: added(numbers, exponent, clip, 2 ** (value_bits - 1) - 1))
    assert ours == theirs


CLIPS = 2**9, 2**24
"""One that clips, and one that does not."""


@pytest.mark.parametrize("shape", [(3, 50, 1100), (2, 3, 5000), (1, 1, 40_001), (3, 7000, 3)])
@pytest.mark.parametrize("clip", CLIPS)
def test_large_tensors_too(both, shape, clip):
    rng = np.random.default_rng(clip)
    (devices, rows, width), grid = shape, Grid(tensor="t", exponent=10, clip=clip)
    column, line = (rng.uniform(-1, 1, (devices, size)).astype(np.float32) for size in (rows, width))
    results = []
    for numbers in (Numbers(column[:, :, None] * line[:, None]), Numbers(Products(column, line))):
        factors = both(lambda numbers=numbers: rounding.fit("t", numbers, grid, 2**13 - 1))
        assert factors[0].tobytes() == factors[1].tobytes()

        def total(numbers=numbers, factors=factors[0]):
            out = np.zeros((rows, width), np.uint32)
            rounding.add(out, numbers, 10, factors)
            return out.tobytes()

        results += both(total)
    assert len(set(results)) == 1
    assert (factors[0] < 1).all() == (clip == CLIPS[0])
    assert (factors[0] == 1).all() or clip != CLIPS[-1]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_wherever_it_stands(both, wrong):
    for place in range(35):
        values = np.zeros((1, 1, 35), np.float32)
        values[0, 0, place] = wrong
        zero, line = np.zeros((1, 3), np.float32), values[0]
        for numbers in (Numbers(values), Numbers(Products(zero + 1, line)), Numbers(Products(zero, line))):

            def fit(numbers=numbers):
                with pytest.raises(ContributionError, match="t: a value is not finite"):
                    rounding.fit("t", numbers, Grid(exponent=0, clip=1), 100)

            both(fit)


@given(st.sampled_from(MODULUS_BITS), st.integers(0, 70), st.data())
@fixtures
def test_what_is_packed_and_read_is_the_same(both, bits, count, data):
    words = data.draw(hnp.arrays(np.int64, count, elements=st.integers(-(2**31), 2**32 - 1)))
    masks = data.draw(hnp.arrays(np.uint32, count))
    total = data.draw(hnp.arrays(np.uint32, count))

    def work():
        plain, masked = packing.pack(words, bits), packing.pack(words, bits, masks)
        assert masked == packing.pack(words + masks, bits)
        up, down = total.copy(), total.copy()
        packing.add(up, masked, bits)
        packing.subtract(down, masked, bits)
        assert (up + down == total + total).all()
        assert (packing.unpack(plain, count, bits) == words % 2**bits).all()
        return plain, masked, up.tobytes(), down.tobytes()

    ours, theirs = both(work)
    assert ours == theirs


@pytest.mark.parametrize("bits", MODULUS_BITS)
@pytest.mark.parametrize("count", [packing.BLOCK - 1, packing.BLOCK + 1, 3 * packing.BLOCK + 5])
def test_blocks_leave_no_trace(both, bits, count):
    words = np.random.default_rng(count).integers(0, 2**32, count, dtype=np.uint32)
    packed = both(lambda: packing.pack(words, bits, words[::-1].copy()))
    assert packed[0] == packed[1]
    read = both(lambda: packing.unpack(packed[0], count, bits).tobytes())
    assert read[0] == read[1]


def test_what_is_too_short_or_has_bits_after_the_last_is_refused(both):
    def work():
        for data in (b"\0\0\x10", b"\0\0", bytes(4)):
            with pytest.raises(ContributionError):
                packing.unpack(data, 1, 20)

    both(work)
