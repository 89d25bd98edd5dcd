"""Killed between any two statements, the store is whole."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from client_sdk.store.sqlite_store import SqliteStore
from tests.client_sdk.store.sqlite_store.contents import make_staged, make_state, same

# Dies by SIGKILL just before the n-th statement of what follows; reports when it came through.
DIES = """
import os, signal, sqlite3, sys
from pathlib import Path
from client_sdk.store.sqlite_store import SqliteStore
from tests.client_sdk.store.sqlite_store.contents import make_staged

left = int(sys.argv[2])
connections, connect = [], sqlite3.connect
def connecting(*args, **options):
    connections.append(connect(*args, **options))
    return connections[-1]
sqlite3.connect = connecting

def statement(text):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

store = SqliteStore(Path(sys.argv[1]))
connections[-1].set_trace_callback(statement)
store.stage(make_staged(2))
store.promote(make_staged(2).assignment_id)
print("through", left)
"""
STATED, STATEMENTS = 6, 13  # of stage alone, and with those of promote


@pytest.mark.parametrize("survived", range(STATEMENTS + 1))
def test_killed_between_any_two_statements_contribution_and_state_stay_together(tmp_path, survived):
    with closing(SqliteStore(tmp_path)) as store:
        store.stage(make_staged(1))
        store.promote(make_staged(1).assignment_id)
    command = [sys.executable, "-c", DIES, str(tmp_path), str(survived)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[4])
    if survived == STATEMENTS:
        assert result.stdout == "through 0\n", result.stderr
    else:
        assert result.returncode == -9, result.stderr
    with closing(SqliteStore(tmp_path)) as store:
        staged, private = store.staged(), store.private("task")
    assert same(private, make_state(2 if survived == STATEMENTS else 1))
    if STATED <= survived < STATEMENTS:
        assert same(staged.state, make_state(2))
        assert staged.contribution == make_staged(2).contribution
    else:
        assert staged is None
