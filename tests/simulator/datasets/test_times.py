from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.datasets.table import Block
from simulator.datasets.times import FILE_ORDER, Times, looks_like, ordered
from simulator.errors import DatasetFormatError
from tests.simulator.datasets.own import CALM, read

WHOLE = st.integers(-(2**63), 2**63 - 1).map(str)
NEAR = st.integers(-3, 3).map(lambda offset: str(1_700_000_000_123_456_789 + offset))
DIGITS = st.text("0123456789", max_size=18)
SHORT = st.builds("{}.{}".format, st.integers(-(2**53), 2**53), DIGITS)
SMALL = st.sampled_from(["-0.5", "0.5", "-0.25", "0", "-1", "1e0", "1.5E+3", "15e2", "-1e-2", "2e15", "0.", "1e-12"])


def block(*texts):
    lines = np.arange(1, len(texts) + 1)
    return Block("x.inter", lines, {"timestamp": pa.array([text.encode() for text in texts], pa.binary())})


def keys(*parts):
    times = Times()
    for part in parts:
        times.add(block(*part), "timestamp")
    return times.keys()


@CALM
@given(st.lists(st.lists(WHOLE | NEAR | SHORT | SMALL, min_size=1, max_size=6), min_size=1, max_size=4))
def test_times_are_in_the_order_of_their_exact_values(parts):
    texts = [text for part in parts for text in part]
    rows = np.arange(len(texts), dtype=np.int32)
    _, order = ordered(np.zeros_like(rows), rows, keys(*parts))
    assert order.tolist() == sorted(rows.tolist(), key=lambda row: Decimal(texts[row]))


@pytest.mark.parametrize("unit", [10**17, 1])
def test_histories_are_in_exact_order(tmp_path, unit):
    offsets = [200, 1, 0, 255, 2]
    inter = [f"u\t{offset}\t{17 * unit + offset}" for offset in offsets]
    dataset = read(tmp_path, ["user_id:token\titem_id:token\ttimestamp:float", *inter])
    assert [dataset.items[row] for row in dataset.histories()[0]] == ["0", "1", "2", "200", "255"]
    assert dataset.notes == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1.7e18", "is a float beyond 2\\*\\*53, where such floats are not exact: write whole numbers"),
        ("9007199254740993.0", "is a float beyond"),
        ("-1.7E18", "is a float beyond"),
        ("9223372036854775808", "does not fit a whole number of 64 bits"),
        ("-9223372036854775809", "does not fit"),
        ("1" * 30, "has too many digits"),
        ("1e99", "has too many digits"),
        ("0.1234567890123456789", "has too many digits"),
        ("", "is not a number; times are numbers"),
        ("nan", "is not a number"),
        ("inf", "is not a number"),
        ("2024-01-31", "is not a number"),
        (" 1", "is not a number"),
        ("1_000", "is not a number"),
        ("\u0661", "is not a number"),
        ("0x10", "is not a number"),
    ],
)
def test_a_time_that_cannot_be_compared_exactly_is_refused(text, problem):
    with pytest.raises(DatasetFormatError, match=rf"x\.inter, line 2: timestamp '.*' {problem}"):
        keys(["5", text, "7"])


@pytest.mark.parametrize("name", ["Timestamp", "time", "datetime", "Date", "created_at", "ts", "event_ts", "unixTime"])
def test_a_column_with_the_name_of_a_time_looks_like_one(name):
    assert looks_like(name)


@pytest.mark.parametrize("name", ["rating", "items", "cats", "weight", "what", "state"])
def test_another_column_does_not(name):
    assert not looks_like(name)


@pytest.mark.parametrize("column", ["timestamp:token", "time:float", "Timestamp:float", "time:token", "date:float"])
def test_a_time_that_is_not_used_is_pointed_out_and_can_be_named(tmp_path, column):
    inter = [f"user_id:token\titem_id:token\t{column}", "u\tlast\t300", "u\tfirst\t100", "u\tmid\t200"]
    name = column.partition(":")[0]
    unnamed = read(tmp_path / "unnamed", inter)
    assert [unnamed.items[row] for row in unnamed.histories()[0]] == ["last", "first", "mid"]
    assert FILE_ORDER in unnamed.notes
    assert f"the column {name!r} of shop.inter looks like a time and is not used: --time-column {name} uses it" in (
        unnamed.notes
    )
    named = read(tmp_path / "named", inter, time_column=name)
    assert [named.items[row] for row in named.histories()[0]] == ["first", "mid", "last"]
    assert [note for note in named.notes if "time" in note] == []


def test_times_may_be_left_out(tmp_path):
    dataset = read(tmp_path, time_column="none")
    assert [dataset.items[row] for row in dataset.histories()[0]] == ["b", "a"]
    assert FILE_ORDER in dataset.notes
