"""A coordinator records only when it is told to, says so loudly, and records what came, once."""

import asyncio
import errno
import logging
import shutil
import stat
from pathlib import Path

import pytest

from coordinator.errors import FolderError
from coordinator.store import recording
from coordinator.store.disk import Disk
from fedau2.wire import blobs


def kept(folder):
    """What a recording holds, by round."""
    return {
        each.number: sorted(each.contribution(name) for name in each.assignments())
        for each in recording.recorded_rounds(folder)
    }


def sent(tools, *seeds):
    return sorted(tools.make_contribution(seed) for seed in seeds)


def test_what_came_is_recorded_with_what_it_began_from(tools, tmp_path, caplog, transport):
    async def main():
        async with tools.open_lab(tmp_path / "state", transport, audit=tmp_path / "audit") as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            await lab.contribute([3])
            return task_id

    with caplog.at_level(logging.WARNING):
        task_id = asyncio.run(main())
    assert "AUDIT: every contribution is kept in the clear" in caplog.text
    bundle = tools.make_bundle()
    rounds = recording.recorded_rounds(tmp_path / "audit")
    assert [(each.task_id, each.number) for each in rounds] == [(task_id, 0), (task_id, 1)]
    assert rounds[0].manifest == bundle.manifest.SerializeToString(deterministic=True)
    assert rounds[0].checkpoint == bundle.blobs[bundle.manifest.checkpoint.sha256]
    assert blobs.sha256(rounds[1].checkpoint) == tools.expected_checkpoint([[0, 1, 2]])
    assert kept(tmp_path / "audit") == {0: sent(tools, 0, 1, 2), 1: sent(tools, 3)}
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o700
    rounds[0].forget()
    assert kept(tmp_path / "audit") == {1: sent(tools, 3)}


def test_without_the_setting_nothing_is_recorded_and_nothing_said(tools, tmp_path, caplog):
    async def main():
        async with tools.open_lab(tmp_path / "state") as lab:
            await lab.create()
            await lab.contribute([0])

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert "AUDIT" not in caplog.text
    assert not list(tmp_path.rglob("*.binpb"))


def test_a_restart_records_what_the_open_round_has(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path / "state") as lab:
            await lab.create()
            await lab.contribute([0, 1])
        async with tools.open_lab(tmp_path / "state", audit=tmp_path / "audit"):
            assert kept(tmp_path / "audit") == {0: sent(tools, 0, 1)}
        async with tools.open_lab(tmp_path / "state", audit=tmp_path / "audit") as lab:
            await lab.contribute([2])
        assert kept(tmp_path / "audit") == {0: sent(tools, 0, 1, 2)}

    asyncio.run(main())


def test_a_folder_that_cannot_be_made_is_refused(tools, tmp_path):
    (tmp_path / "file").write_text("")

    async def main():
        async with tools.open_lab(tmp_path / "state", audit=tmp_path / "file" / "audit"):
            pass

    with pytest.raises(FolderError, match="the audit folder cannot be used"):
        asyncio.run(main())


@pytest.mark.parametrize("inside", ["notes.txt", "photos/a.jpg"])
def test_a_folder_of_something_else_is_refused_and_left_as_it_is(tools, tmp_path, inside):
    folder = tmp_path / "home"
    (folder / inside).parent.mkdir(parents=True)
    (folder / inside).write_text("mine")
    folder.chmod(0o755)

    async def main():
        async with tools.open_lab(tmp_path / "state", audit=folder):
            pass

    with pytest.raises(FolderError, match="is not a recording and not empty"):
        asyncio.run(main())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert [each for each in folder.rglob("*") if each.is_file()] == [folder / inside]


def test_an_empty_folder_keeps_its_mode_and_what_is_recorded_is_the_owners(tools, tmp_path):
    folder = tmp_path / "audit"
    folder.mkdir()
    folder.chmod(0o755)

    async def main():
        async with tools.open_lab(tmp_path / "state", audit=folder) as lab:
            task_id = await lab.create()
            await lab.contribute([0])
            return task_id

    task_id = asyncio.run(main())
    assert kept(folder) == {0: sent(tools, 0)}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / task_id).stat().st_mode) == 0o700


def test_only_a_round_that_is_committed_and_has_every_contribution_is_whole(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path / "state", audit=tmp_path / "audit") as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1])
            (open_round,) = recording.recorded_rounds(tmp_path / "audit")
            assert not open_round.whole
        async with tools.open_lab(tmp_path / "state", audit=tmp_path / "audit") as lab:
            await lab.contribute([2])
            await lab.committed(task_id, 1)

    asyncio.run(main())
    (whole,) = recording.recorded_rounds(tmp_path / "audit")
    assert whole.whole
    folder = tmp_path / "audit" / whole.task_id / "0"
    for path in (next(folder.glob("*.binpb")), folder / "checkpoint.safetensors", folder.parent / "manifest.binpb"):
        data = path.read_bytes()
        path.unlink()
        assert not whole.whole
        path.write_bytes(data)
        assert whole.whole


class FullFor(Disk):
    """A disk on which one folder has no room left for as long as it is said."""

    def __init__(self, folder):
        self.folder, self.full = folder, False

    def write(self, file, data):
        if self.full and self.folder in Path(file.name).parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(file, data)


def lose(folder):
    shutil.rmtree(folder)
    folder.write_text("something else is here now")


@pytest.mark.parametrize("how", ["full", "gone"])
def test_a_recording_that_cannot_be_written_stops_nothing_and_is_told_once(tools, tmp_path, caplog, how):
    folder = tmp_path / "audit"
    disk = FullFor(folder)

    async def main():
        async with tools.open_lab(tmp_path / "state", audit=folder, disk=disk) as lab:
            task_id = await lab.create()
            await lab.contribute([0])
            disk.full = how == "full"
            if how == "gone":
                lose(folder)
            await lab.contribute([1, 2])
            await lab.committed(task_id, 1)
            await lab.contribute([3, 4, 5])
            await lab.committed(task_id, 2)
            disk.full = False
            if how == "gone":
                folder.unlink()
            await lab.contribute([6, 7, 8])
            return (await lab.committed(task_id, 3)).checkpoint.sha256

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(main()) == tools.expected_checkpoint([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    (told,) = [each for each in caplog.messages if "no longer whole" in each]
    assert str(folder) in told
    assert "Make room there" in told
    whole = {each.number: each.whole for each in recording.recorded_rounds(folder)}
    assert whole.pop(2)
    assert not any(whole.values())
    assert kept(folder)[2] == sent(tools, 6, 7, 8)


def test_a_restart_makes_the_open_round_whole_again(tools, tmp_path):
    folder = tmp_path / "audit"
    disk = FullFor(folder)

    async def main():
        async with tools.open_lab(tmp_path / "state", audit=folder, disk=disk) as lab:
            task_id = await lab.create()
            disk.full = True
            await lab.contribute([0, 1])
        async with tools.open_lab(tmp_path / "state", audit=folder, disk=disk):
            pass
        disk.full = False
        async with tools.open_lab(tmp_path / "state", audit=folder, disk=disk) as lab:
            await lab.contribute([2])
            await lab.committed(task_id, 1)

    asyncio.run(main())
    assert [each.whole for each in recording.recorded_rounds(folder)] == [True]
    assert kept(folder) == {0: sent(tools, 0, 1, 2)}


def test_the_command_warns(tools, tmp_path):
    process = tools.Process(tmp_path / "state", "--audit", str(tmp_path / "audit"))
    code, errors = process.end(process.child.terminate)
    assert code == 0
    assert "WARNING AUDIT: every contribution is kept in the clear" in errors
