"""The gate before AdminService: it checks the operator's role, and records the call in the operations log.

Whoever reaches the operators' address can make calls that are refused. Those of callers who have proved nothing are
counted and not recorded, because a record of each would fill the disk.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.message import Message

from coordinator.errors import ForbiddenError, UnprovenError, UnrecordedError
from coordinator.grpc.operators import NEEDED, Operator, Operators, Role
from coordinator.grpc.status import Context
from coordinator.store.operations_log import OperationsLog
from fedau2.v1.admin_pb2 import Task
from fedau2.wire.status import Status, StatusError

_log = logging.getLogger(__name__)

ROLE_METADATA = "fedau2-role"
"""Trailing metadata of each answer: the role of the caller."""

_LONGEST = 1000
"""Bytes of the longest request that is recorded whole. Whoever may not make a call must not fill the disk with it."""

_SAID = 60.0
"""Seconds in which the log counts the calls of callers who have proved nothing at most once."""


class Gate:
    """Lets operators' calls through.

    Calls that only look at tasks and rounds are not recorded unless they are refused, because programs make them every
    second.

    Args:
        operators: names the caller of each method.
        log: gives the open log, or raises `StoppedError` while the coordinator starts.
        clock: in seconds, never going back.
    """

    def __init__(
        self,
        operators: Operators,
        log: Callable[[], OperationsLog],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._operators, self._log, self._clock = operators, log, clock
        self._unproven, self._said = 0, -math.inf

    @asynccontextmanager
    async def passing(
        self,
        call: str,
        request: Any,  # noqa: ANN401
        context: Context,
    ) -> AsyncIterator[Callable[[object], None]]:
        """Runs a block, which answers a call, and is given a function that takes each answer before it is sent.

        Args:
            call: the method's name.
            request: its message, or the stream of its messages, which is not recorded. The answer then says which task
                was made: id, population and the manifest's hash.
            context: of the call.

        Raises:
            ForbiddenError: the operator may not make the call.
            UnrecordedError: it cannot be recorded, so it is not made.
            StoppedError: the coordinator starts.
        """
        log = self._log()
        operator = self._operators.caller(context)
        if operator.role is not None:
            context.set_trailing_metadata(((ROLE_METADATA, operator.role.name.lower()),))
        try:
            operator.expect(call)
        except UnprovenError:
            self._count_unproven()
            raise
        except ForbiddenError:
            refused = {"event": "refused", "result": Status.PERMISSION_DENIED.name}
            await _append(log, _about(operator, call, request) | refused)
            raise
        if NEEDED[call] is Role.VIEWER:
            # A watch may last for days: it ends when its token does, or when the role is taken away.
            yield lambda answer: self._operators.caller(context).expect(call)
            return
        about = _about(operator, call, request)
        await _append(log, about | {"event": "begins"})
        result, made = Status.CANCELLED.name, dict[str, Any]()
        try:
            yield lambda answer: made.update(_made(answer))
            result = "OK"
        except StatusError as error:
            result = error.status.name
            raise
        except Exception:
            result = Status.INTERNAL.name
            raise
        finally:
            await _end(log, about | {"event": "ends", "result": result} | made)

    def _count_unproven(self) -> None:
        self._unproven += 1
        if (now := self._clock()) - self._said >= _SAID:
            _log.warning(
                "calls on the operators' address without an accepted token or certificate: %d more were refused; only "
                "operators should be able to reach this address",
                self._unproven,
            )
            self._unproven, self._said = 0, now


async def _end(log: OperationsLog, entry: dict[str, Any]) -> None:
    """Records how a call ended. The call has had its effect, so a failure here is only logged."""
    try:
        await _append(log, entry)
    except UnrecordedError as error:
        _log.error("%s by %s ended with %s: %s", entry["call"], entry["operator"], entry["result"], error)


def _about(operator: Operator, call: str, request: Any) -> dict[str, Any]:  # noqa: ANN401
    role = "none" if operator.role is None else operator.role.name.lower()
    about: dict[str, Any] = {"operator": operator.name, "role": role, "call": call}
    if isinstance(request, Message):
        about["request"] = _content(request)
    return about


def _content(request: Message) -> dict[str, Any]:
    if (size := request.ByteSize()) > _LONGEST:
        return {"bytes": size}
    from google.protobuf.json_format import MessageToDict  # here, because it takes long to load

    return MessageToDict(request, preserving_proto_field_name=True)


def _made(answer: object) -> dict[str, Any]:
    """Returns what the entry after a call says of its answer."""
    if not isinstance(answer, Task):
        return {}
    manifest = answer.manifest.sha256.hex()
    return {"task": {"task_id": answer.task_id, "population": answer.population, "manifest": manifest}}


async def _append(log: OperationsLog, entry: dict[str, Any]) -> None:
    try:
        await asyncio.to_thread(log.append, {"at": round(time.time(), 3), **entry})
    except OSError as error:
        raise UnrecordedError(
            f"the call cannot be recorded in the operations log ({error}), so it was not made: repair the cause, for "
            "example make room on the disk"
        ) from error
