"""Compares mapped columns with plain arrays."""

import errno
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk import draws
from fedau2.v1.tensors_pb2 import DISTRIBUTION_NORMAL, Initializer, TensorSpec
from simulator.errors import DiskSpaceError
from simulator.population import columns
from simulator.population.columns import BEST, SAVED, MappedState, block, blocks
from simulator.population.mapped_column import UNWRITTEN
from simulator.population.population import ClientKeys

CLIENTS = 5
DRAWN = Initializer(distribution=DISTRIBUTION_NORMAL, scale=1)
SPECS = [TensorSpec(name="a.b", shape=[2, 3], initializer=DRAWN), TensorSpec(name="c", shape=[])]
KEYS = ClientKeys(0, CLIENTS)


@pytest.fixture
def state(tmp_path):
    return MappedState.create(tmp_path, SPECS, KEYS)


WRITES = st.tuples(st.just("write"), st.sets(st.integers(0, CLIENTS - 1), min_size=1))
HOLDS = st.tuples(st.sampled_from(["save", "snapshot", "back"]), st.just(frozenset()))


@given(st.lists(WRITES | HOLDS, max_size=30))
def test_what_is_held_stays_as_it_was_whatever_is_written(steps):
    """Compares with copies: the current rows, the best ones, and those from which an interrupted run resumes."""
    with tempfile.TemporaryDirectory() as folder:
        state = MappedState.create(Path(folder), SPECS, KEYS)
        column, moments = state.values["a.b"], state.first["a.b"]
        now = np.stack([draws.initial(SPECS, key)["a.b"] for key in KEYS])
        moment = np.zeros((CLIENTS, 2, 3), np.float32)
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
@pytest.mark.parametrize("unwritten", [False, True])
def test_blocks_side_by_side_are_all_numbers_of_an_array_and_of_a_map(state, name, numbers, unwritten):
    column = state.values[name]
    plain = np.random.default_rng(0).normal(size=column.shape).astype(np.float32)
    for client in (3, 0, 4, 1, 2):
        state.hold(SAVED if client % 2 else BEST)  # so that rows lie in several versions
        column[client] = plain[client]
    if unwritten:
        column.where[2] = UNWRITTEN
        plain[2] = draws.initial(SPECS, KEYS[2])[name]
    for source in (plain, column):
        joined = np.concatenate(list(blocks([source], numbers)), axis=1)
        np.testing.assert_array_equal(joined, plain.reshape(CLIENTS, -1))
    width = plain[0].size
    np.testing.assert_array_equal(block(column, width - 1, width), plain.reshape(CLIENTS, -1)[:, -1:])


def test_another_process_finds_the_rows_but_no_incomplete_state(state, tmp_path):
    state.values["a.b"][np.arange(CLIENTS)] = np.ones((CLIENTS, 2, 3), np.float32)
    state.flush()
    again = MappedState.open(tmp_path, SPECS, KEYS)
    again.values["a.b"].where[:] = state.values["a.b"].where  # as a run notes it
    assert (again.values["a.b"][np.arange(CLIENTS)] == 1).all()
    assert MappedState.open(tmp_path, SPECS, ClientKeys(0, CLIENTS + 1)) is None
    next((tmp_path / "private").iterdir()).unlink()
    assert MappedState.open(tmp_path, SPECS, KEYS) is None
    columns.discard(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_refused_with_what_is_needed_and_where(tmp_path):
    wide = [TensorSpec(name="wide", shape=[2**20, 2**20])]
    with pytest.raises(DiskSpaceError, match=rf"5 clients needs 153931\.6 GB of disk in {tmp_path}"):
        MappedState.create(tmp_path, wide, KEYS)
    assert list(tmp_path.iterdir()) == []


def test_files_grow_with_what_is_written_and_a_disk_that_fills_loses_nothing(tmp_path, monkeypatch):
    keys, specs = ClientKeys(0, 100_000), [TensorSpec(name="v", shape=[64], initializer=DRAWN)]
    state = MappedState.create(tmp_path, specs, keys)
    column = state.values["v"]
    expected = draws.initial(specs, keys[99_999])["v"]
    np.testing.assert_array_equal(column[99_999], expected)
    members = np.array([5, 99_999])
    column[members] = np.ones((2, 64), np.float32)
    state.hold(SAVED)
    on_disk = sum(path.stat().st_blocks * 512 for path in (tmp_path / "private").iterdir())
    assert 0 < on_disk < 100_000

    def full(file, row, place):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", full)
        with pytest.raises(DiskSpaceError, match=r"private/values\.v cannot grow: the disk is full"):
            column[np.array([5, 6])] = np.zeros((2, 64), np.float32)
    np.testing.assert_array_equal(column[members], np.ones((2, 64)))
    np.testing.assert_array_equal(column[6], draws.initial(specs, keys[6])["v"])


def test_everything_may_be_written_at_once(state):
    before = {name: column[np.arange(CLIENTS)] for name, column in state.values.items()}
    state.write_all()
    for name, column in state.values.items():
        assert (column.where != UNWRITTEN).all()
        np.testing.assert_array_equal(column[np.arange(CLIENTS)], before[name])


def test_state_is_mapped_when_values_and_moments_together_are_over_the_limit(monkeypatch):
    monkeypatch.setattr(columns, "LIMIT", CLIENTS * 7 * 3 * 4)
    assert not columns.is_large(SPECS, CLIENTS)
    assert columns.is_large(SPECS, CLIENTS + 1)
