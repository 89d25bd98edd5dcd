"""The status of a call with a request that changes nothing."""

import itertools

import grpc

_OWN_FAULT = "Internal error from Core"
"""gRPC's client says this of itself, rarely, when a server refuses a call before its first message was written."""


async def of_call(channel, method, timeout=30, metadata=()):
    """Makes a call of `fedau2.wire.methods` on an open channel, and returns its status."""
    return (await of_calls(channel, method, timeout, metadata))[0]


async def of_calls(channel, method, timeout=30, metadata=()):
    """Does the same, and returns the status and how often the call was made."""
    make = channel.stream_stream(method.path, method.request.SerializeToString, method.response.FromString)
    for made in itertools.count(1):
        # As an iterator: a request that is written by hand after the refusal has come has a status of its own.
        call = make(iter([method.request()]), timeout=timeout, metadata=metadata)
        try:
            async for _ in call:
                pass
        except grpc.aio.AioRpcError as error:
            if error.details() != _OWN_FAULT:
                return error.code(), made
        else:
            return grpc.StatusCode.OK, made
