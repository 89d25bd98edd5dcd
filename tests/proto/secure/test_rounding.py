"""Laws of adding the numbers of several devices at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedau2.v1.secure_pb2 import Grid
from fedau2.wire.errors import ContributionError
from fedau2.wire.secure import rounding
from fedau2.wire.secure.rounding import Numbers, Products

FLOATS = st.floats(-40, 40, width=32)
GRID = Grid(tensor="t", exponent=4, clip=300)
LARGEST, ROWS = 2**11 - 1, 5


def added(numbers, width):
    total = np.zeros((ROWS, width), np.uint32)
    touched = np.zeros((numbers.shape[0], ROWS), np.bool_)
    factors = rounding.fit("t", numbers, GRID, LARGEST)
    rounding.add(total, numbers, GRID.exponent, factors, touched)
    return total, touched, factors


@st.composite
def devices(draw):
    count, width = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    values = draw(hnp.arrays(np.float32, (count, ROWS, width), elements=FLOATS))
    rows = np.array([draw(st.permutations(range(ROWS))) for _ in range(count)], np.int64)
    return Numbers(values, rows, draw(hnp.arrays(np.int64, count, elements=st.integers(0, ROWS))))


@given(devices())
def test_devices_are_added_as_one_after_another(numbers):
    together = added(numbers, numbers.shape[2])
    total = np.zeros_like(together[0])
    for device in range(numbers.shape[0]):
        used = slice(0, int(numbers.counts[device]))
        alone = Numbers(numbers.values[device : device + 1, used], numbers.rows[device : device + 1, used])
        of_device, touched, factors = added(alone, numbers.shape[2])
        total += of_device
        assert (touched[0] == of_device.any(axis=1)).all()
        assert (touched[0] == together[1][device]).all()
        assert factors[0] == together[2][device]
    assert (total == together[0]).all()


@given(hnp.arrays(np.float32, (3, ROWS), elements=FLOATS), hnp.arrays(np.float32, (3, 4), elements=FLOATS))
def test_products_are_added_as_their_values(column, line):
    results = added(Numbers(Products(column, line)), 4), added(Numbers(column[:, :, None] * line[:, None]), 4)
    for ours, theirs in zip(*results, strict=True):
        assert (ours == theirs).all()


@pytest.mark.parametrize(("column", "line"), [(1e30, 1e30), (np.inf, 0), (0, np.nan)])
def test_products_that_are_not_finite_are_refused(column, line):
    values = Products(np.full((1, 2), column, np.float32), np.full((1, 3), line, np.float32))
    with pytest.raises(ContributionError, match="t: a value is not finite"):
        rounding.fit("t", Numbers(values), GRID, LARGEST)


@pytest.mark.parametrize(
    "numbers",
    [
        Numbers(np.ones((2, ROWS, 3), np.float32)),
        Numbers(np.ones((2, ROWS - 1, 2), np.float32)),
        Numbers(np.ones((1, ROWS, 2), np.float32)),
        Numbers(np.ones((2, 3, 2), np.float32), np.zeros((1, 3), np.int64)),
        Numbers(Products(np.ones((2, ROWS), np.float32), np.ones((2, 1), np.float32))),
    ],
)
def test_numbers_of_another_shape_than_the_sum_are_refused(numbers):
    with pytest.raises(ValueError, match="do not fit a sum of shape"):
        rounding.add(np.zeros((ROWS, 2), np.uint32), numbers, 4, np.ones(2), np.zeros((2, ROWS), np.bool_))


def test_rows_of_all_devices_may_be_the_same_array():
    order, values = np.array([3, 1], np.int64), np.ones((4, 2, 2), np.float32)
    total, touched, _ = added(Numbers(values, np.broadcast_to(order, (4, 2))), 2)
    assert total.tolist() == [[0, 0], [64, 64], [0, 0], [64, 64], [0, 0]]
    assert touched.any(axis=0).tolist() == [False, True, False, True, False]
