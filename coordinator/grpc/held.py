"""Calls of generated services that stay open, such as `Health.Watch`, held to the limits of network addresses.

Calls that are answered at once are not, since to refuse one costs as much as to answer it: so probes get their answer.
"""

import inspect
from contextlib import aclosing

from coordinator.grpc.handlers import Gate
from coordinator.grpc.parsing import Handler
from coordinator.grpc.status import Context, refuse


def gated(name: str, handler: Handler, gate: Gate) -> Handler:
    """Returns the handler of a method, whose calls a gate lets through if they can stay open.

    Args:
        name: of the method.
        handler: as generated code makes it.
        gate: refuses calls.
    """
    if not handler.response_streaming:
        return handler
    kind = "stream_stream" if handler.request_streaming else "unary_stream"
    call = getattr(handler, kind)

    async def answer(request: object, context: Context) -> None:
        try:
            async with gate(name, request, context):
                answered = call(request, context)
                if inspect.isawaitable(answered):
                    await answered
                    return
                async with aclosing(answered) as responses:
                    async for response in responses:
                        await context.write(response)
        except Exception as error:
            await refuse(error, context)

    return handler._replace(**{kind: answer})
