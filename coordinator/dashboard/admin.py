"""The dashboard's calls to a coordinator, with the credentials as they are at the time."""

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from coordinator.errors import CallError, SettingError
from coordinator.grpc.gate import ROLE_METADATA
from coordinator.grpc.operators import Role
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2 import Round, Task
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from fedau2.v1.task_pb2 import TaskManifest

TIMEOUT = 10.0
"""Most seconds that a call may take."""

CHANGES = {
    "pause": ("PauseTask", admin_pb2.PauseTaskRequest),
    "resume": ("ResumeTask", admin_pb2.ResumeTaskRequest),
    "stop": ("StopTask", admin_pb2.StopTaskRequest),
}
"""Method and request of each change of a task."""

_ANEW = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
"""After such an answer the next call reads the credentials again. A program that logs in may have replaced them."""


class Admin:
    """The calls of AdminService that the dashboard makes.

    Args:
        connect: opens a channel. It reads the credentials, and raises `SettingError` if they cannot be used.
        explain: says in one line why a call failed.

    Attributes:
        role: of the credentials, as the newest answer named it; None: no answer has.
    """

    def __init__(self, connect: Callable[[], grpc.aio.Channel], explain: Callable[[grpc.RpcError], str]) -> None:
        self._connect, self._explain = connect, explain
        self._channel: grpc.aio.Channel | None = None
        self._manifests: dict[bytes, TaskManifest] = {}
        self.role: Role | None = None

    async def tasks(self) -> list[Task]:
        """Returns all tasks, oldest first.

        Raises:
            CallError: the coordinator does not answer, or refuses the call. The other methods raise it too.
        """
        return list((await self._call("ListTasks", admin_pb2.ListTasksRequest())).tasks)

    async def task(self, task_id: str) -> Task:
        """Returns a task."""
        task: Task = await self._call("GetTask", admin_pb2.GetTaskRequest(task_id=task_id))
        return task

    async def rounds(self, task_id: str, first: int) -> list[Round]:
        """Returns the rounds of a task from the number `first` on, oldest first."""
        request = admin_pb2.ListRoundsRequest(task_id=task_id, first=first)
        return list((await self._call("ListRounds", request)).rounds)

    async def manifest(self, task: Task) -> TaskManifest:
        """Returns a task's manifest, which never changes, so that it is asked for once."""
        known = self._manifests.get(task.manifest.sha256)
        if known is None:
            known = await self._call("GetManifest", admin_pb2.GetManifestRequest(task_id=task.task_id))
            self._manifests[task.manifest.sha256] = known
        return known

    async def change(self, task_id: str, change: str) -> Task:
        """Makes one of `CHANGES`, and returns the task as it stands then."""
        name, request = CHANGES[change]
        task: Task = await self._call(name, request(task_id=task_id))
        return task

    async def close(self) -> None:
        """Ends the connection."""
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close(TIMEOUT)

    async def _call(self, name: str, request: Message) -> Any:  # noqa: ANN401
        try:
            if self._channel is None:
                self._channel = self._connect()
            call = getattr(AdminServiceStub(self._channel), name)(request, timeout=TIMEOUT)
            answer = await call
        except SettingError as error:
            raise CallError(str(error), grpc.StatusCode.UNAUTHENTICATED.name) from error
        except grpc.aio.AioRpcError as error:
            if error.code() in _ANEW:
                await self.close()
            raise CallError(self._explain(error), error.code().name) from error
        self.role = _role(dict(await call.trailing_metadata()).get(ROLE_METADATA))
        return answer


def _role(name: object) -> Role | None:
    return next((role for role in Role if role.name.lower() == name), None)
