"""Connections of a fleet to a coordinator of its own."""

import asyncio

from fedau2.v1.admin_pb2 import ListTasksRequest, ListTasksResponse
from simulator.engines.coordinator_process import CoordinatorProcess


def test_a_fleet_asks_no_proxy_for_its_coordinator(tmp_path, monkeypatch):
    for variable in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    address = f"unix:{tmp_path}/d a%41.sock"

    async def call():
        connection = await CoordinatorProcess(tmp_path / "state%41", devices=address).connect()
        try:
            return await connection.admin.call(ListTasksRequest())
        finally:
            await connection.close()

    assert asyncio.run(call()) == ListTasksResponse()
