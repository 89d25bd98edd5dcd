"""Compares mapped columns with plain arrays."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedau2.v1.tensors_pb2 import TensorSpec
from simulator.errors import DiskSpaceError
from simulator.population import columns
from simulator.population.columns import BEST, SAVED, MappedState, block, blocks

CLIENTS = 5
SPECS = [TensorSpec(name="a.b", shape=[2, 3]), TensorSpec(name="c", shape=[])]


@pytest.fixture
def state(tmp_path):
    return MappedState.create(tmp_path, SPECS, CLIENTS)


WRITES = st.tuples(st.just("write"), st.sets(st.integers(0, CLIENTS - 1), min_size=1))
HOLDS = st.tuples(st.sampled_from(["save", "snapshot", "back"]), st.just(frozenset()))


@given(st.lists(WRITES | HOLDS, max_size=30))
def test_what_is_held_stays_as_it_was_whatever_is_written(steps):
    """Compares with copies: the current rows, the best ones, and those from which an interrupted run resumes."""
    with tempfile.TemporaryDirectory() as folder:
        state = MappedState.create(Path(folder), SPECS, CLIENTS)
        column, moments = state.values["a.b"], state.first["a.b"]
        now, moment = np.zeros((CLIENTS, 2, 3), np.float32), np.zeros((CLIENTS, 2, 3), np.float32)
        saved, best = None, None
        snapshot = None
        for number, (step, clients) in enumerate(steps):
            rows = np.array(sorted(clients), np.int64)
            if step == "write":
                now[rows] = number + np.arange(len(rows) * 6).reshape(-1, 2, 3)
                moment[rows] = -now[rows]
                column[rows], moments[rows] = now[rows], moment[rows]
            elif step == "save":
                state.hold(SAVED)
                saved = now.copy(), moment.copy(), None if best is None else best.copy()
            elif step == "snapshot":
                snapshot, best = columns.snapshot(column), now.copy()
                state.hold(SAVED)  # as in a run, which saves a snapshot before it trains on
                saved = now.copy(), moment.copy(), best.copy()
            elif saved is not None:
                noted = {part: part.held[SAVED] for part in (column, moments)}
                best_where = column.held.get(BEST)
                column.where[:], moments.where[:] = noted[column], noted[moments]
                now, moment = saved[0].copy(), saved[1].copy()
                if best_where is not None:
                    snapshot = column.hold_at(BEST, best_where.astype(np.float32))
            everyone = np.arange(CLIENTS)
            np.testing.assert_array_equal(column[everyone], now)
            np.testing.assert_array_equal(moments[everyone], moment)
            if snapshot is not None:
                np.testing.assert_array_equal(snapshot[everyone], best)
                np.testing.assert_array_equal(np.stack([snapshot[client] for client in range(CLIENTS)]), best)


@pytest.mark.parametrize("name", ["a.b", "c"])
@pytest.mark.parametrize("numbers", [1, CLIENTS * 2, 1000])
def test_blocks_side_by_side_are_all_numbers_of_an_array_and_of_a_map(state, name, numbers):
    column = state.values[name]
    plain = np.random.default_rng(0).normal(size=column.shape).astype(np.float32)
    for client in (3, 0, 4, 1, 2):
        state.hold(SAVED if client % 2 else BEST)  # so that rows lie in several versions
        column[client] = plain[client]
    for source in (plain, column):
        joined = np.concatenate(list(blocks([source], numbers)), axis=1)
        np.testing.assert_array_equal(joined, plain.reshape(CLIENTS, -1))
    width = plain[0].size
    np.testing.assert_array_equal(block(column, width - 1, width), plain.reshape(CLIENTS, -1)[:, -1:])


def test_another_process_finds_the_rows_but_no_incomplete_state(state, tmp_path):
    state.values["a.b"][np.arange(CLIENTS)] = np.ones((CLIENTS, 2, 3), np.float32)
    state.flush()
    again = MappedState.open(tmp_path, SPECS, CLIENTS)
    assert (again.values["a.b"][np.arange(CLIENTS)] == 1).all()
    assert MappedState.open(tmp_path, SPECS, CLIENTS + 1) is None
    next((tmp_path / "private").iterdir()).unlink()
    assert MappedState.open(tmp_path, SPECS, CLIENTS) is None
    columns.discard(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_refused_with_what_is_needed_and_where(tmp_path):
    wide = [TensorSpec(name="wide", shape=[2**20, 2**20])]
    with pytest.raises(DiskSpaceError, match=rf"5 clients needs 153931\.6 GB of disk in {tmp_path}"):
        MappedState.create(tmp_path, wide, CLIENTS)
    assert list(tmp_path.iterdir()) == []


def test_state_is_mapped_when_values_and_moments_together_are_over_the_limit(monkeypatch):
    monkeypatch.setattr(columns, "LIMIT", CLIENTS * 7 * 3 * 4)
    assert not columns.is_large(SPECS, CLIENTS)
    assert columns.is_large(SPECS, CLIENTS + 1)
