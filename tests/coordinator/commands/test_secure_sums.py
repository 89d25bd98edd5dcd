"""The operator's commands for tasks with secure sums, with an unmasker that serves."""

import pytest

from coordinator.cli import main
from coordinator.commands.secure_sums import describe, warning
from fedau2.v1.admin_pb2 import SecureSumsStatus, Task
from fedau2.v1.unmasker_pb2 import LogHead
from tests.coordinator import hidden
from tests.coordinator.commands.test_commands import run
from tests.unmasker.served import Child, command


@pytest.fixture
def unmasker(tmp_path):
    assert command("init", "--state", tmp_path / "unmasker").returncode == 0
    child = Child(tmp_path / "unmasker", "--accept", "open")
    yield child
    child.end()


def test_a_task_is_made_shown_and_its_round_skipped(tools, tmp_path, unmasker, capsys):
    from fedau2.wire.identity.signing import read_public

    key, (_, address) = tmp_path / "unmasker" / "identity.pub", unmasker.start()
    made = hidden.bundle(read_public(key.read_bytes()), rounds=5)
    made.write(tmp_path / "bundle")
    options = ("--unmasker", address, "--unmasker-key", str(key))
    process = tools.Process(tmp_path / "state", *options)
    try:
        arguments = ["--bundle", str(tmp_path / "bundle"), "--population", "movies", "--rounds", "5", "--goal", "64"]
        assert run(process, "create-task", *arguments) == 0
        said = capsys.readouterr()
        task_id = said.out.strip()
        assert "must touch 2 of 6 rows" in said.err
        assert "clip_norm" not in said.err
        assert run(process, "status", task_id) == 0
        assert "secure sums:" in capsys.readouterr().out
        assert run(process, "skip-round", task_id, "3", "--yes") == 1
        assert "round 0 is" in capsys.readouterr().err
        assert run(process, "skip-round", task_id, "0", "--yes") == 0
        assert run(process, "rounds", task_id) == 0
        assert "round 0 attempt 0 skipped" in capsys.readouterr().out
    finally:
        process.end(process.child.terminate)
    assert main(["doctor", "--state", str(tmp_path / "state"), *options]) == 0
    assert "open rounds" in capsys.readouterr().out
    unmasker.end()
    assert main(["doctor", "--state", str(tmp_path / "state"), *options]) == 1
    assert "!! unmasker" in capsys.readouterr().out


def test_the_line_says_what_a_round_waits_for():
    status = SecureSumsStatus(refused=2, last_error="it is away", keyed=True, epsilon=1.25, delta=1e-6)
    status.opening_since.seconds = 1
    status.seen.CopyFrom(LogHead(size=7))
    line = describe(Task(round=3, secure_sums=status))
    for part in ("sum of round 3 since", " d;", "2 refused", "epsilon at most 1.25 at delta 1e-06", "entry 7", "away"):
        assert part in line
    assert "2 refused, more than a tenth" in line
    assert "2 refused;" in describe(Task(reported=18, secure_sums=status))
    assert "waits for the key of round 0" in describe(Task(secure_sums=SecureSumsStatus()))
    assert describe(Task(secure_sums=SecureSumsStatus(keyed=True))).endswith(": collecting")


def test_an_operator_is_told_how_much_stays_closed():
    task = hidden.bundle().manifest
    assert "32.0 a row; 0.0% of the rows stay closed" in warning(task, 3)
    assert "100.0% of the rows stay closed" in warning(task, 0.01)
