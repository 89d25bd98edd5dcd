"""A browser at a stand-by is answered as at the leader."""

import asyncio

import pytest

pytest.importorskip("connectrpc", reason="the extra web is not installed")

from coordinator.web.server import WebServer
from tests.coordinator import conftest as tools
from tests.coordinator.grpc.pairs import pair
from tests.coordinator.web.caller import OverWeb
from tests.coordinator.web.labs import errors_of_the_server
from tests.coordinator.web.test_calls import session


def test_sessions_of_browsers_at_a_stand_by_make_a_round(tmp_path):
    async def main():
        async with pair(tmp_path) as two:
            web = await WebServer.start("127.0.0.1:0", two.stand_by.answers)
            try:
                lab = tools.Lab(OverWeb(web.address, two.coordinator, None), two.coordinator)
                task_id = await lab.create(tools.make_bundle(rounds=1))
                for seed in range(3):
                    await session(lab, tools.make_contribution(seed))
                return (await lab.committed(task_id, 1)).checkpoint.sha256
            finally:
                await web.stop()

    with errors_of_the_server() as errors:
        assert asyncio.run(main()) == tools.expected_checkpoint([[0, 1, 2]])
    assert errors == []
