"""Checksums of the ledger's pages: every flipped bit of the main file is seen."""

import random
from contextlib import closing

import pytest

from coordinator.errors import LedgerError
from coordinator.store.disk import REAL
from coordinator.store.ledger import Ledger
from coordinator.store.page_sums import PageSums
from tests.coordinator.store.test_ledger import ROW, assigned, reported


@pytest.fixture
def path(tmp_path):
    """A ledger whose main file holds a task, and whose log holds two assignments."""
    path = tmp_path / "ledger.sqlite"
    with closing(Ledger(f"sqlite:///{path}")) as ledger:
        ledger.prepare("folder")
        ledger.create_task(ROW)
        ledger.checkpoint()
        ledger.write([assigned(0), assigned(1)])
    return path


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def empty_log(path):
    with closing(Ledger(f"sqlite:///{path}")) as ledger:
        ledger.prepare("folder")
        ledger.checkpoint()


def opened(path):
    with closing(Ledger(f"sqlite:///{path}")) as ledger:
        return ledger.tasks(), ledger.commits


@pytest.mark.parametrize("emptied", [True, False])
def test_a_flipped_bit_is_seen_unless_the_log_has_the_page(path, emptied):
    if emptied:
        empty_log(path)
    whole, rng, refused = opened(path), random.Random(1), 0
    for _ in range(60):
        bit = rng.randrange(8 * path.stat().st_size)
        flip(path, bit)
        try:
            assert opened(path) == whole
        except LedgerError:
            refused += 1
        flip(path, bit)
    assert opened(path) == whole
    assert refused == 60 if emptied else 0 < refused < 60


def test_damaged_sums_and_missing_sums_are_refused(path):
    sums = PageSums(path, REAL).path
    for bit in (0, 100, 8 * sums.stat().st_size - 1):
        flip(sums, bit)
        with pytest.raises(LedgerError, match="are damaged"):
            opened(path)
        flip(sums, bit)
    sums.unlink()
    with pytest.raises(LedgerError, match="are missing"):
        opened(path)


def test_a_file_of_another_length_is_refused(path):
    empty_log(path)
    content = path.read_bytes()
    for changed in (b"", content[:4096], content[:-1], content + bytes(4096)):
        path.write_bytes(changed)
        with pytest.raises(LedgerError, match="damaged"):
            opened(path)
    path.unlink()
    with pytest.raises(LedgerError, match="damaged"):
        opened(path)


def test_the_sums_fit_while_the_log_is_being_emptied(path):
    """The process ends after the sums have been written: before SQLite has written a page, or all of them."""
    with closing(Ledger(f"sqlite:///{path}")) as ledger:
        ledger.prepare("folder")
        ledger.write([reported(0)])
        ledger._database._sums.seal()
    whole = opened(path)
    log = path.with_name("ledger.sqlite-wal").read_bytes()
    empty_log(path)
    path.with_name("ledger.sqlite-wal").write_bytes(log)
    assert opened(path) == whole


def test_to_look_at_a_ledger_changes_nothing(path):
    files = [path, path.with_name("ledger.sqlite-wal"), PageSums(path, REAL).path]
    before = [file.read_bytes() for file in files]
    opened(path)
    assert [file.read_bytes() for file in files] == before
