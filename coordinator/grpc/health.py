"""The standard health service of gRPC. A watcher who does not read keeps no other waiting, and no change of health."""

import asyncio
from collections.abc import AsyncIterator

from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from coordinator.errors import UnknownError
from coordinator.grpc.status import Context


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
    """Says how a server is.

    Args:
        service: the service that it serves. The empty name stands for the server.
    """

    def __init__(self, service: str) -> None:
        self._names = ("", service)
        self._status: HealthCheckResponse.ServingStatus.ValueType = HealthCheckResponse.UNKNOWN
        self._changed = asyncio.Event()

    def report(self, status: HealthCheckResponse.ServingStatus.ValueType) -> None:
        """Changes what is said."""
        if status == self._status:
            return
        self._status = status
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def Check(self, request: HealthCheckRequest, context: Context) -> HealthCheckResponse:  # noqa: N802
        """Says how a service is now.

        Raises:
            UnknownError: there is no such service.
        """
        if request.service not in self._names:
            raise UnknownError("no such service is served here")
        return HealthCheckResponse(status=self._status)

    async def Watch(  # noqa: N802
        self, request: HealthCheckRequest, context: Context
    ) -> AsyncIterator[HealthCheckResponse]:
        """Says how a service is now, and then each time that this has changed."""
        while True:
            changed = self._changed
            unknown = request.service not in self._names
            yield HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN if unknown else self._status)
            await changed.wait()
