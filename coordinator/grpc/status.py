"""Answers a call with an error: every error goes through one table."""

import logging
from typing import Any, NoReturn

import grpc

from coordinator.errors import BusyError, ForwardedError, UnprovenError
from fedau2.logs import Seldom
from fedau2.wire.status import RETRY_METADATA, Status, StatusError

_log = logging.getLogger(__name__)

_QUIET = (BusyError, ForwardedError, UnprovenError)
"""Refusals without a line in the log: anybody can have them in any number, or the leader's log has the line."""

REFUSED = Seldom()
"""Refused calls by the class of the error: anybody can have them in any number."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}

Context = grpc.aio.ServicerContext[Any, Any]


def refusal(error: Exception) -> StatusError:
    """Chooses the answer to a call that failed, and logs it: a refusal is the answer itself, anything else a fault."""
    if not isinstance(error, StatusError):
        _log.error("a call failed", exc_info=error)
        return StatusError(Status.INTERNAL, "internal error; the coordinator's log says more")
    if not isinstance(error, _QUIET):
        REFUSED.say(_log, "refused: %s", type(error).__name__)  # its text may quote what a device sent
    return error


async def refuse(error: Exception, context: Context) -> NoReturn:
    """Answers a gRPC call with an error: a refusal with its status, anything else as a fault of the coordinator."""
    answer = refusal(error)
    metadata = () if answer.retry is None else ((RETRY_METADATA, answer.retry.SerializeToString()),)
    await context.abort(_CODES[answer.status], str(answer), metadata)
