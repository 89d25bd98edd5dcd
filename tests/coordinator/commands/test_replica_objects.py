"""Coordinators that share a ledger and an object store, as processes, and the commands for what is in the store."""

import asyncio
import os
import shutil
import signal
from contextlib import ExitStack

import pytest

from coordinator.cli import main
from fedau2.wire.status import Status, StatusError
from tests.coordinator import conftest as tools
from tests.coordinator.commands.test_replica import labs, patiently, replica


def objects_replica(folder, url, objects, name, stack):
    """A coordinator on a machine of its own: it shares the ledger and the store only."""
    return stack.enter_context(replica(folder / name, url, name, options=("--objects", objects)))


@pytest.fixture
def folders(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_a_machine_vanishes_and_another_goes_on_to_the_same_bytes(folders, postgres_url, s3_url, capsys):
    async def until_killed(one, two):
        async with labs(one, two) as (first, second):
            task_id = await second.create(tools.make_bundle(rounds=2))
            lost = await first.assignment()
            await second.contribute([0])
            os.kill(one.child.pid, signal.SIGKILL)
            shutil.rmtree(folders / "one" / "shared")
            await patiently(lambda: second.upload(lost, tools.make_contribution(1)))
            await patiently(lambda: second.contribute([2]))
            await second.committed(task_id, 1)
            await second.contribute([3, 4, 5])
            return (await second.committed(task_id, 2)).checkpoint.sha256

    with ExitStack() as stack:
        one, two = (objects_replica(folders, postgres_url, s3_url, name, stack) for name in ("one", "two"))
        checkpoint = asyncio.run(until_killed(one, two))
        code, errors = two.end(two.child.terminate)
        assert (code, "ERROR" in errors) == (0, False)
    assert checkpoint == tools.expected_checkpoint([[0, 1, 2], [3, 4, 5]])
    state = str(folders / "fetched")
    assert main(["fetch", "--objects", s3_url, "--database", postgres_url, "--to", state]) == 0
    assert main(["doctor", "--state", state, "--database", postgres_url]) == 0
    assert main(["audit-log", "--state", state]) == 0
    assert "the log is whole" in capsys.readouterr().out


def test_a_leader_whose_store_refuses_acknowledges_nothing_and_gives_up(folders, postgres_url, s3_url, s3_way):
    async def until_refused(one):
        async with labs(one) as (first,):
            await first.create(tools.make_bundle(rounds=1))
            await first.contribute([0])
            s3_way.fail("denied", "PUT", times=1000)
            assignment = await first.assignment()
            with pytest.raises(StatusError) as refused:
                await first.upload(assignment, tools.make_contribution(1))
            assert refused.value.status is Status.UNAVAILABLE
            return assignment

    async def afterwards(two, assignment):
        async with labs(two) as (second,):
            await second.upload(assignment, tools.make_contribution(1))
            await second.contribute([2])
            return (await second.committed((await second.only_task()).task_id, 1)).checkpoint.sha256

    with ExitStack() as stack:
        one = objects_replica(folders, postgres_url, s3_url, "one", stack)
        assignment = asyncio.run(until_refused(one))
        code, errors = one.end(lambda: None)
        assert code == 1
        assert "stopped, because writing failed: the object store" in errors
        s3_way.fail_no_more()
        two = objects_replica(folders, postgres_url, s3_url, "two", stack)
        assert asyncio.run(afterwards(two, assignment)) == tools.expected_checkpoint([[0, 1, 2]])


def test_a_store_that_cannot_be_used_is_one_line_before_anything_starts(tmp_path, s3_way, s3_url, capsys):
    settings = ["--state", str(tmp_path), "--database", "postgresql://h/d", "--replica", "127.0.0.1:1", "--check"]
    assert main(["serve", "--objects", s3_url, *settings]) == 0
    capsys.readouterr()
    for url, text in (("s3://nowhere/a", "NoSuchBucket"), ("gs://b", "must be URL"), ("s3://k:s@b", "must be URL")):
        assert main(["serve", "--objects", url, *settings]) == 1
        assert text in capsys.readouterr().err
    assert main(["serve", "--objects", s3_url, "--state", str(tmp_path), "--check"]) == 1
    assert "needs replica" in capsys.readouterr().err


def test_nothing_is_fetched_that_is_not_there(tmp_path, postgres_url, s3_url, capsys):
    command = ["fetch", "--objects", s3_url, "--database", postgres_url, "--to", str(tmp_path / "state")]
    assert main(command) == 1
    assert "belongs to no state folder" in capsys.readouterr().err

    async def alone():
        async with tools.open_lab(tmp_path / "alone", database=postgres_url) as lab:
            await lab.create()

    asyncio.run(alone())
    assert main(command) == 1
    assert "has no state folder with id" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
