"""State folders whose paths hold what means something else in a URL."""

import asyncio
import shutil
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.cli import main
from coordinator.store.ledger import Ledger
from coordinator.store.state_folder import StateFolder


@settings(deadline=None, max_examples=50)
@given(st.text(st.sampled_from("ab41F2%?#&=: +'\"é\\@;"), min_size=1, max_size=12))
def test_the_ledger_lies_in_the_folder_whatever_its_path(name):
    with tempfile.TemporaryDirectory() as parent:
        folder = StateFolder(Path(parent) / name)
        folder.path.mkdir()
        with closing(Ledger(folder.database(None))) as ledger:
            ledger.prepare("id")
        assert folder.ledger.is_file()
        assert [path.name for path in Path(parent).iterdir()] == [name]


def test_folders_with_like_paths_are_served_copied_and_examined(tools, tmp_path):
    first, second = tmp_path / "what?1#a%41 b", tmp_path / "what?2%2F"

    async def begin():
        async with tools.open_lab(first) as lab:
            await lab.create()
            await lab.contribute([0, 1])

    async def go_on(state):
        async with tools.open_lab(state) as lab:
            await lab.contribute([2])
            return (await lab.committed((await lab.only_task()).task_id, 1)).checkpoint.sha256

    asyncio.run(begin())
    shutil.copytree(first, second)
    for state in (first, second):
        assert main(["doctor", "--state", str(state)]) == 0
        assert asyncio.run(go_on(state)) == tools.expected_checkpoint([[0, 1, 2]])
