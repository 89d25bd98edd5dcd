"""The status of a call with a request that changes nothing."""

import grpc

_OWN_FAULT = "Internal error from Core"
"""gRPC's client says this of itself, rarely, when a server refuses a call before its first message was written."""


async def of_call(channel, method, timeout=30, metadata=()):
    """Makes a call of `fedau2.wire.methods` on an open channel, and returns its status."""
    make = channel.stream_stream(method.path, method.request.SerializeToString, method.response.FromString)
    while True:
        # As an iterator: a request that is written by hand after the refusal has come has a status of its own.
        call = make(iter([method.request()]), timeout=timeout, metadata=metadata)
        try:
            async for _ in call:
                pass
        except grpc.aio.AioRpcError as error:
            if error.details() != _OWN_FAULT:
                return error.code()
        else:
            return grpc.StatusCode.OK
