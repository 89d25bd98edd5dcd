"""The handlers of a service come from its descriptor, and what does not parse is refused, whoever added the handler."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health, health_pb2_grpc

from coordinator.engine.admin_service import AdminService
from coordinator.engine.device_service import DeviceService
from coordinator.errors import UnknownError
from coordinator.grpc.handlers import handlers
from coordinator.grpc.parsing import Guard, Guarded
from coordinator.grpc.server import ADMIN
from fedau2.wire import methods

TEXT = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
KINDS = [(False, False), (False, True), (True, False), (True, True)]
NOT_A_MESSAGE = b"\xff\xff"


def service():
    """A service that no generated code knows: a method of each kind, from a text to a text."""
    file = descriptor_pb2.FileDescriptorProto(name="new.proto", package="new", syntax="proto3")
    described = file.service.add(name="NewService")
    for number, (takes_stream, gives_stream) in enumerate(KINDS):
        for message in (f"Say{number}Request", f"Say{number}Response"):
            file.message_type.add(name=message).field.add(name="text", number=1, type=TEXT)
        described.method.add(
            name=f"Say{number}",
            input_type=f".new.Say{number}Request",
            output_type=f".new.Say{number}Response",
            client_streaming=takes_stream,
            server_streaming=gives_stream,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return methods.Service(pool.FindServiceByName("new.NewService"))


class Speaker:
    """Answers the calls of `service` with what they say, in capitals."""

    def __init__(self):
        self.respond = {method.handler: method.response for method in service()}

    async def say0(self, request):
        return self.respond["say0"](text=loud(request.text))

    async def say1(self, request):
        for letter in loud(request.text):
            yield self.respond["say1"](text=letter)

    async def say2(self, requests):
        return self.respond["say2"](text="".join([loud(request.text) async for request in requests]))

    async def say3(self, requests):
        async for request in requests:
            yield self.respond["say3"](text=loud(request.text))


def loud(text):
    if text == "fault":
        raise ZeroDivisionError
    if not text:
        raise UnknownError("nothing was said")
    return text.upper()


@asynccontextmanager
async def served(*added):
    """A channel to a server; each argument adds something to it."""
    server = grpc.aio.server()
    for add in added:
        add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def say(channel, method, *texts, raw=None):
    """Makes a call, and returns the text of all its responses."""
    kind = f"{'stream' if method.takes_stream else 'unary'}_{'stream' if method.gives_stream else 'unary'}"
    requests = [method.request(text=text).SerializeToString() for text in texts] if raw is None else [raw]
    call = getattr(channel, kind)(method.path)(requests if method.takes_stream else requests[0])
    responses = [data async for data in call] if method.gives_stream else [await call]
    return "".join(method.response.FromString(data).text for data in responses)


def speaking(server):
    server.add_generic_rpc_handlers([handlers(service(), Speaker, Speaker, Guard())])


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_a_method_of_any_kind_is_answered_by_the_python_method_of_its_name(number):
    async def main():
        method = list(service())[number]
        async with served(speaking) as channel:
            assert await say(channel, method, "hello") == "HELLO"
            if method.takes_stream:
                assert await say(channel, method, "to", "you") == "TOYOU"

    asyncio.run(main())


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize(
    ("text", "raw", "code", "details"),
    [
        ("", None, grpc.StatusCode.NOT_FOUND, "nothing was said"),
        ("fault", None, grpc.StatusCode.INTERNAL, "internal error; the coordinator's log says more"),
        ("", NOT_A_MESSAGE, None, None),
    ],
)
def test_an_error_is_answered_with_its_status(number, text, raw, code, details):
    async def main():
        method = list(service())[number]
        async with served(speaking) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await say(channel, method, text, raw=raw)
        if raw is None:
            assert (caught.value.code(), caught.value.details()) == (code, details)
        elif method.takes_stream:  # it is read as an empty message, which the method refuses
            assert caught.value.details() == "nothing was said"
        else:
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert caught.value.details() == "a request of 2 bytes is not a message of this method"

    asyncio.run(main())


def test_a_class_that_lacks_a_method_of_its_service_is_refused_at_once():
    class Mute(Speaker):
        say1 = None

    with pytest.raises(TypeError, match=r"Mute lacks methods of new\.NewService: say1$"):
        handlers(service(), Mute, Mute, Guard())


@pytest.mark.parametrize(("served_methods", "answering"), [(methods.DEVICE, DeviceService), (ADMIN, AdminService)])
def test_the_coordinators_services_answer_every_method_of_their_proto_files(served_methods, answering):
    assert handlers(served_methods, answering, lambda: None, Guard()).service_name() == served_methods.name


def registered(server):
    """Adds the health service as generated code does."""
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), Guarded(server, Guard()))


def generic(server):
    """Adds the same methods by a handler that finds them by their names."""

    class Found:
        def add_generic_rpc_handlers(self, found):
            Guarded(server, Guard()).add_generic_rpc_handlers(found)

        def add_registered_method_handlers(self, service_name, method_handlers):
            pass

    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), Found())


@pytest.mark.parametrize("add", [registered, generic])
def test_what_generated_code_adds_refuses_requests_that_do_not_parse(add):
    async def main():
        async with served(add) as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            assert await check(b"") == b"\x08\x01"  # SERVING
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await check(NOT_A_MESSAGE)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/grpc.health.v1.Health/Nothing")(b"")
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED

    asyncio.run(main())
