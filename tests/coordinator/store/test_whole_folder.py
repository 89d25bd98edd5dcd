"""What the commands `backup` and `restore` make is there whole or not at all."""

import resource

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.cli import main
from coordinator.store import backups
from tests.coordinator.commands.backed_up import backup, contents, made, restore, state

__all__ = ["made", "state"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_full_disk_leaves_nothing(state, made, data):
    largest = max(len(content) for content in contents(made).values())
    limit = data.draw(st.integers(0, largest - 1))
    beside = set(state.parent.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        assert backup(state, state.parent / "new") == 1
        assert restore(made, state.parent / "new") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert set(state.parent.iterdir()) == beside


def test_an_interruption_at_any_file_leaves_nothing(state, made, monkeypatch, capsys):
    original, beside = backups.copy, set(state.parent.iterdir())
    for command in (backup, restore):
        for number in range(len(contents(made)) - 1):
            left = [number]

            def copy(file, place, left=left):
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
                return original(file, place)

            monkeypatch.setattr(backups, "copy", copy)
            source = state if command is backup else made
            assert command(source, state.parent / "new") == 130
            assert set(state.parent.iterdir()) == beside
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("command", [backup, restore])
def test_of_two_at_once_one_is_refused_and_the_other_is_whole(state, made, tmp_path, monkeypatch, capsys, command):
    original, source = backups.copy, state if command is backup else made

    def copy(file, place):
        monkeypatch.setattr(backups, "copy", original)
        assert command(source, tmp_path / "new") == 0
        return original(file, place)

    monkeypatch.setattr(backups, "copy", copy)
    assert command(source, tmp_path / "new") == 1
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    if command is backup:
        assert restore(tmp_path / "new", tmp_path / "restored") == 0
    else:
        assert main(["doctor", "--state", str(tmp_path / "new")]) == 0


def test_places_that_are_taken_or_wrong_are_refused(state, made, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_bytes(b"kept")
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for place in ("full", "file", "link", "/"):
        for command, source in ((backup, state), (restore, made)):
            assert command(source, tmp_path / place) == 1
            assert "name a folder that is empty or not there yet" in capsys.readouterr().err
    assert backup(state, state / "inside") == 1
    assert "outside of it" in capsys.readouterr().err
    assert restore(tmp_path / "empty", tmp_path / "new") == 1
    assert "is not a backup" in capsys.readouterr().err
    assert (tmp_path / "full" / "mine").read_bytes() == b"kept"
    assert restore(made, tmp_path / "empty") == 0
