"""A ledger in PostgreSQL is dumped, and restored with its folder, in the order that `backup` names."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from coordinator.cli import main
from tests.coordinator.postgres import fresh_database


def program(name):
    """The path of a program of PostgreSQL, if there is one that fits the server of the tests."""
    server = shutil.which("pg_ctl")
    return server and shutil.which(name, path=str(Path(server).resolve().parent))


@pytest.mark.skipif(not program("pg_dump"), reason="there is no pg_dump beside pg_ctl")
def test_a_dump_with_a_copy_of_the_folder_goes_on(tools, tmp_path, postgres, postgres_url):
    state, copy, dump = tmp_path / "state", tmp_path / "copy", tmp_path / "ledger.dump"

    async def begin():
        async with tools.open_lab(state, database=postgres_url) as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            await lab.contribute([3])
            return (await lab.assignment()).round

    given = asyncio.run(begin())
    subprocess.run([program("pg_dump"), "--format=custom", f"--file={dump}", postgres_url], check=True)
    shutil.copytree(state, copy)
    with fresh_database(postgres) as restored:
        subprocess.run([program("pg_restore"), f"--dbname={restored}", "--exit-on-error", dump], check=True)
        assert main(["doctor", "--state", str(copy), "--database", restored, "--accept-ledger"]) == 0

        async def go_on():
            async with tools.open_lab(copy, database=restored) as lab:
                lease = await lab.assignment()
                await lab.fail(lease)
                await lab.contribute([7, 8, 9])
                task = await lab.committed((await lab.only_task()).task_id, 2)
                return lease.round, task.checkpoint.sha256

        number, checkpoint = asyncio.run(go_on())
    assert number > given
    assert checkpoint == tools.expected_checkpoint([[0, 1, 2], [7, 8, 9]])
