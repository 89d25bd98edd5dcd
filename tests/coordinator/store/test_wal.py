"""SQLite's write-ahead log, read as SQLite reads it."""

import shutil
import sqlite3
import zlib
from contextlib import closing

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.store import wal

PAGE = 4096
BATCHES = st.lists(st.lists(st.integers(0, 9000), min_size=1, max_size=4), max_size=6)


def write(path, batches):
    """Commits the batches, each a transaction of rows of so many bytes, and keeps them in the log."""
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in ("journal_mode = WAL", "wal_autocheckpoint = 0"):
        connection.execute(f"PRAGMA {setting}")
    connection.execute("CREATE TABLE row (data)")
    for batch in batches:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO row VALUES (?)", [(bytes([len(batch)]) * size,) for size in batch])
        connection.execute("COMMIT")
    return connection


def as_sqlite_reads(path, scratch):
    """Sums of all pages of the database after SQLite has moved the log into it, in a copy; and the pages' number."""
    scratch.mkdir(exist_ok=True)
    for file in (path, wal.path_of(path)):
        shutil.copy(file, scratch)
    with closing(sqlite3.connect(scratch / path.name)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = (scratch / path.name).read_bytes()
    return [zlib.crc32(data[start : start + PAGE]) for start in range(0, len(data), PAGE)]


@given(batches=BATCHES, data=st.data())
@settings(max_examples=40, deadline=None)
def test_it_ends_where_sqlite_lets_it_end_whatever_bit_is_flipped(tmp_path_factory, batches, data):
    folder = tmp_path_factory.mktemp("wal")
    path = folder / "ledger.sqlite"
    with closing(write(path, batches)):
        content = bytearray(wal.path_of(path).read_bytes())
        bit = data.draw(st.none() | st.integers(0, 8 * len(content) - 1))
        if bit is not None:
            content[bit // 8] ^= 1 << bit % 8
            copy = folder / "flipped"
            copy.mkdir()
            shutil.copy(path, copy)
            path = copy / path.name
            wal.path_of(path).write_bytes(content)
        log, before = wal.read(path), path.read_bytes()
        expected = as_sqlite_reads(path, folder / "scratch")
        for page, checksum in enumerate(expected, 1):
            unchanged = zlib.crc32(before[(page - 1) * PAGE : page * PAGE])
            assert log.sums.get(page, unchanged) == checksum
        assert log.size in (0, len(expected))


def test_no_log_holds_nothing(tmp_path):
    assert wal.read(tmp_path / "ledger.sqlite") == wal.WriteAheadLog({}, 0, 0)
    wal.path_of(tmp_path / "ledger.sqlite").write_bytes(b"short")
    assert wal.read(tmp_path / "ledger.sqlite") == wal.WriteAheadLog({}, 0, 0)
