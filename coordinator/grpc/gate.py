"""The gate before AdminService: it checks the operator's role, and records the call in the operations log."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.message import Message

from coordinator.errors import ForbiddenError, UnrecordedError
from coordinator.grpc.operators import NEEDED, Operator, Operators, Role
from coordinator.grpc.status import Context
from coordinator.store.operations_log import OperationsLog
from fedau2.wire.status import Status, StatusError

_log = logging.getLogger(__name__)


class Gate:
    """Lets operators' calls through.

    Calls that only look at tasks and rounds are not recorded unless they are refused, because programs make them every
    second.

    Args:
        operators: names the caller of each method.
        log: gives the open log, or raises `StoppedError` while the coordinator starts.
    """

    def __init__(self, operators: Operators, log: Callable[[], OperationsLog]) -> None:
        self._operators, self._log = operators, log

    @asynccontextmanager
    async def passing(self, call: str, request: Any, context: Context) -> AsyncIterator[None]:  # noqa: ANN401
        """Runs a block, which answers a call.

        Args:
            call: the method's name.
            request: its message, or the stream of its messages, which is not recorded.
            context: of the call.

        Raises:
            ForbiddenError: the operator may not make the call.
            UnrecordedError: it cannot be recorded, so it is not made.
            StoppedError: the coordinator starts.
        """
        log = self._log()
        operator = self._operators.caller(context)
        try:
            operator.expect(call)
        except ForbiddenError:
            await _append(log, operator, call, request, "refused", Status.PERMISSION_DENIED.name)
            raise
        if NEEDED[call] is Role.VIEWER:
            yield
            return
        await _append(log, operator, call, request, "begins")
        result = Status.CANCELLED.name
        try:
            yield
            result = "OK"
        except StatusError as error:
            result = error.status.name
            raise
        except Exception:
            result = Status.INTERNAL.name
            raise
        finally:
            await _end(log, operator, call, request, result)


async def _end(log: OperationsLog, operator: Operator, call: str, request: Any, result: str) -> None:  # noqa: ANN401
    """Records how a call ended. The call has had its effect, so a failure here is only logged."""
    try:
        await _append(log, operator, call, request, "ends", result)
    except UnrecordedError as error:
        _log.error("%s by %s ended with %s: %s", call, operator.name, result, error)


async def _append(
    log: OperationsLog,
    operator: Operator,
    call: str,
    request: Any,  # noqa: ANN401
    event: str,
    result: str | None = None,
) -> None:
    role = "none" if operator.role is None else operator.role.name.lower()
    entry: dict[str, Any] = {"at": round(time.time(), 3), "operator": operator.name, "role": role, "call": call}
    if isinstance(request, Message):
        from google.protobuf.json_format import MessageToDict  # here, because it takes long to load

        entry["request"] = MessageToDict(request, preserving_proto_field_name=True)
    entry["event"] = event
    if result is not None:
        entry["result"] = result
    try:
        await asyncio.to_thread(log.append, entry)
    except OSError as error:
        raise UnrecordedError(
            f"the call cannot be recorded in the operations log ({error}), so it was not made: repair the cause and "
            "start the coordinator again"
        ) from error
