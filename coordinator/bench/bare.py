"""A bare server of the upload RPC, for comparison: it adds the bytes that arrive, checks nothing and keeps nothing."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np

from coordinator.bench.workload import MOST_BYTES
from fedau2.v1.device_pb2 import UploadContributionRequest, UploadContributionResponse

_sum = np.zeros(MOST_BYTES // 4)


async def _upload(requests: AsyncIterator[UploadContributionRequest], _: object) -> UploadContributionResponse:
    async for request in requests:
        data = request.data
        values = np.frombuffer(data, "<f4", len(data) // 4)
        _sum[: values.size] += values
    return UploadContributionResponse()


async def _serve() -> None:
    np.seterr(all="ignore")  # the bytes are added as they are, and some of them are not values
    server = grpc.aio.server()
    handler = grpc.stream_unary_rpc_method_handler(
        _upload, UploadContributionRequest.FromString, UploadContributionResponse.SerializeToString
    )
    methods = {"UploadContribution": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("fedau2.v1.DeviceService", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"serving devices on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve())
