"""The caller of a call that a stand-by passes on to the leader, as metadata that only coordinators may send.

A device's network address and certificate, and an operator's name and role, are found out where the caller arrives. The
leader believes them on the address for coordinators alone, where no device and no operator gets in.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

from coordinator.engine.limited import Limited
from coordinator.errors import InvalidRequestError
from coordinator.grpc.gate import ROLE_METADATA
from coordinator.grpc.operators import NEEDED, Operator, Operators, Role
from coordinator.grpc.parsing import Entry
from coordinator.grpc.status import Context
from coordinator.model.caller import CALLER, Caller

_T = TypeVar("_T")

_CALLER, _OPERATOR = "fedau2-caller-bin", "fedau2-operator-bin"

OPERATOR: ContextVar[Operator | None] = ContextVar("operator", default=None)
"""The operator of the method that this task passes on."""


def metadata() -> tuple[tuple[str, bytes], ...]:
    """Returns the metadata of the call that this task passes on."""
    pairs = ((_CALLER, _packed(asdict(CALLER.get()))),)
    if (operator := OPERATOR.get()) is None:
        return pairs
    return (*pairs, (_OPERATOR, _packed(asdict(operator))))


def entry(expect: Callable[[Context], None], limited: Callable[[], Limited]) -> Entry:
    """Makes the entry of the address for coordinators, which notes the caller that a stand-by names.

    Args:
        expect: raises a `RefusalError` unless a coordinator calls.
        limited: gives the limits of network addresses, which count calls to the leader and to stand-bys together.
    """

    @contextmanager
    def entering(context: Context) -> Iterator[None]:
        expect(context)
        CALLER.set(_unpacked(Caller, context, _CALLER))
        with limited().call():
            yield

    return entering


@asynccontextmanager
async def passing(operators: Operators, call: str, context: Context) -> AsyncIterator[Callable[[object], None]]:
    """Runs a block that passes an operator's call on. The leader decides about it, and records it.

    The leader knows the operator as of the beginning. So a watch, which may last for days, ends here when the token
    does, or when the role is taken away.
    """
    operator = operators.caller(context)
    if operator.role is not None:
        context.set_trailing_metadata(((ROLE_METADATA, operator.role.name.lower()),))
    OPERATOR.set(operator)
    watched = NEEDED[call] is Role.VIEWER
    yield lambda answer: operators.caller(context).expect(call) if watched else None


class PassedOn(Operators):
    """Names the operators whose calls stand-bys pass on."""

    def __init__(self) -> None:
        super().__init__(certified=True, roles=None)

    def caller(self, context: Context) -> Operator:
        """Returns the caller of a method, as the stand-by names it.

        Raises:
            InvalidRequestError: it names none.
        """
        named = _unpacked(Operator, context, _OPERATOR)
        return named if named.role is None else replace(named, role=Role(named.role))


def _packed(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode()


def _unpacked(kind: type[_T], context: Context, key: str) -> _T:
    """Reads what a stand-by says of its caller. A newer one may say more than this version knows."""
    try:
        shown = dict(context.invocation_metadata() or ())[key]
        named = json.loads(shown)
        return kind(**{field.name: named[field.name] for field in fields(kind)})  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError):
        text = "this address is for the other coordinators of the ledger; call the device address"
        raise InvalidRequestError(text) from None
