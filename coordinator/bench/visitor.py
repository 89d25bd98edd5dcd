"""A device that comes once, over a connection of its own, as a user's phone does."""

import time
from typing import Any

from coordinator.bench.connected import Connected
from coordinator.bench.workload import Payload
from coordinator.errors import BenchError
from fedau2.v1.device_pb2 import Admission, AdmitRequest, CheckInRequest
from fedau2.v1.device_pb2_grpc import DeviceServiceStub
from fedau2.wire import blind

PATIENCE = 60.0
"""Most seconds that a device waits for an answer."""


class Visitor(Connected):
    """Takes part once.

    Args:
        address: of the coordinator.
        population: of the task.
        token: by which the coordinator admits it.

    Attributes:
        seconds: that it waited for answers so far.
    """

    def __init__(self, address: str, population: str, token: bytes) -> None:
        super().__init__(address)
        self._stub, self._population, self._token = DeviceServiceStub(self._channel), population, token
        self.seconds = 0.0

    async def place(self) -> bytes:
        """Gets admitted and checks in; returns the id of the assignment.

        Raises:
            BenchError: it got no place.
            grpc.aio.AioRpcError: a call failed.
        """
        request = CheckInRequest(population=self._population)
        response = await self._timed(self._stub.CheckIn, request)
        key = response.rejection.admission
        blinded = blind.blind(key.modulus, bytes(32))
        asked = AdmitRequest(population=self._population, key=key, evidence=self._token, blinded=blinded.blinded)
        signature = blind.finish(blinded, (await self._timed(self._stub.Admit, asked)).signature)
        request.admission.CopyFrom(Admission(message=blinded.message, signature=signature))
        response = await self._timed(self._stub.CheckIn, request)
        if not response.HasField("assignment"):
            raise BenchError("a check-in was turned away: the round has no place left")
        return bytes(response.assignment.assignment_id)

    async def contribute(self, payload: Payload) -> None:
        """Takes part: gets a place and uploads."""
        assignment_id = await self.place()
        upload = self._channel.stream_unary("/fedau2.v1.DeviceService/UploadContribution", None, None)
        await self._timed(upload, iter((payload.header(assignment_id), *payload.pieces)))

    async def _timed(self, call: Any, request: Any) -> Any:  # noqa: ANN401 - a call of any method
        begun = time.perf_counter()
        try:
            return await call(request, timeout=PATIENCE)
        finally:
            self.seconds += time.perf_counter() - begun
