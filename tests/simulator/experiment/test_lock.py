"""A folder has one run or audit at a time, whoever comes second is told, and it is free again afterwards."""

import pytest

from simulator.commands.cli import main
from simulator.errors import ConfigError
from simulator.experiment import lock

SMALL = ["--dataset", "synthetic", "--users", "60", "--items", "80", "--rounds", "1"]


def test_who_comes_second_is_told(tmp_path):
    with lock.hold(tmp_path / "new" / "folder"):
        with pytest.raises(ConfigError, match="another run or audit is using"):
            lock.hold(tmp_path / "new" / "folder").__enter__()
        with lock.hold(tmp_path / "new" / "other"):
            pass
    with lock.hold(tmp_path / "new" / "folder"):
        pass


def test_it_is_free_again_after_an_error(tmp_path):
    with pytest.raises(KeyError), lock.hold(tmp_path):
        raise KeyError
    with lock.hold(tmp_path):
        pass


def test_what_was_not_used_is_removed_and_nothing_else(tmp_path):
    with lock.hold(tmp_path / "empty"):
        pass
    (tmp_path / "yours").mkdir()
    with lock.hold(tmp_path / "yours"):
        pass
    with lock.hold(tmp_path / "run"):
        (tmp_path / "run" / "metrics.json").write_text("{}")
    assert not (tmp_path / "empty").exists()
    assert not list((tmp_path / "yours").iterdir())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["metrics.json"]


def test_what_a_killed_process_left_locks_nothing(tmp_path):
    (tmp_path / lock.NAME).write_text("")
    with lock.hold(tmp_path):
        assert (tmp_path / lock.NAME).exists()


def test_a_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        lock.hold(tmp_path / "file" / "folder").__enter__()


@pytest.mark.parametrize("command", [["run"], ["audit", "--attacks", "sign", "--clients", "10"]], ids=["run", "audit"])
def test_a_folder_in_use_is_left_as_it_is(tmp_path, capsys, command):
    with lock.hold(tmp_path / "out"):
        assert main([*command, "--out", str(tmp_path / "out"), *SMALL]) == 1
        assert "another run or audit is using" in " ".join(capsys.readouterr().err.split())
        assert [path.name for path in (tmp_path / "out").iterdir()] == [lock.NAME]
