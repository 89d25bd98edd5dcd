"""The least that a server of the same RPC can do: add what arrives. It checks nothing and keeps nothing.

    python -m coordinator.bench.bare
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np

from coordinator.bench.workload import MOST_BYTES
from fedau2.v1.device_pb2 import UploadContributionRequest, UploadContributionResponse
from fedau2.v1.device_pb2_grpc import DeviceServiceServicer, add_DeviceServiceServicer_to_server


class _Bare(DeviceServiceServicer):
    def __init__(self) -> None:
        self._sum = np.zeros(MOST_BYTES // 4)

    async def UploadContribution(  # noqa: N802 - named by gRPC
        self,
        requests: AsyncIterator[UploadContributionRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> UploadContributionResponse:
        data = b"".join([request.data async for request in requests])
        values = np.frombuffer(data, "<f4", len(data) // 4)
        self._sum[: values.size] += values
        return UploadContributionResponse()


async def _serve() -> None:
    server = grpc.aio.server()
    add_DeviceServiceServicer_to_server(_Bare(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"serving devices on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve())
