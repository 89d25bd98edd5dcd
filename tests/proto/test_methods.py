"""The methods of a service, read from its descriptor."""

import doctest

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from fedau2.v1 import admin_pb2, device_pb2, device_pb2_grpc, task_pb2
from fedau2.wire import methods
from fedau2.wire.errors import UnknownMethodError

ADMIN = methods.Service(admin_pb2.DESCRIPTOR.services_by_name["AdminService"])


class Channel:
    """Stands for a gRPC channel and notes which methods a generated stub makes."""

    def __init__(self):
        self.made = {}

    def __getattr__(self, kind):
        def make(path, request_serializer, response_deserializer, **_):
            self.made[path] = (kind, request_serializer, response_deserializer)

        return make


def test_methods_are_those_of_the_generated_stub():
    channel = Channel()
    device_pb2_grpc.DeviceServiceStub(channel)
    kinds = {
        (False, False): "unary_unary",
        (False, True): "unary_stream",
        (True, False): "stream_unary",
        (True, True): "stream_stream",
    }
    assert channel.made == {
        method.path: (
            kinds[method.takes_stream, method.gives_stream],
            method.request.SerializeToString,
            method.response.FromString,
        )
        for method in methods.DEVICE
    }


def test_the_messages_are_the_generated_classes():
    method = methods.DEVICE.taking(device_pb2.UploadContributionRequest, takes_stream=True)
    assert method.request is device_pb2.UploadContributionRequest
    assert method.response is device_pb2.UploadContributionResponse
    assert (method.name, method.handler) == ("UploadContribution", "upload_contribution")
    assert (method.takes_stream, method.gives_stream) == (True, False)


def test_a_service_lists_its_methods_in_the_order_of_the_proto_file():
    assert methods.DEVICE.name == "fedau2.v1.DeviceService"
    assert [method.handler for method in methods.DEVICE] == [
        "check_in",
        "admit",
        "fetch_resource",
        "upload_contribution",
        "upload_part",
        "upload_offset",
        "report_failure",
    ]
    assert "watch_rounds" in [method.handler for method in ADMIN if method.gives_stream]


def test_a_message_that_no_method_takes_is_refused():
    with pytest.raises(
        UnknownMethodError, match=r"no method of fedau2\.v1\.DeviceService takes one Resource and gives"
    ):
        methods.DEVICE.taking(task_pb2.Resource)
    with pytest.raises(UnknownMethodError):
        methods.DEVICE.taking(admin_pb2.GetTaskRequest)


@pytest.mark.parametrize(("takes_stream", "gives_stream"), [(True, False), (False, True), (True, True)])
def test_a_method_is_not_mistaken_for_one_with_other_streams(takes_stream, gives_stream):
    methods.DEVICE.taking(device_pb2.CheckInRequest)
    with pytest.raises(UnknownMethodError, match="stream of"):
        methods.DEVICE.taking(device_pb2.CheckInRequest, takes_stream, gives_stream)


def service_with(*rpcs):
    """A service descriptor with methods of the given names, each with messages of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="later.proto", package="later", syntax="proto3")
    service = file.service.add(name="DeviceService")
    for name, request in rpcs:
        known = {message.name for message in file.message_type}
        for message in {request, f"{name}Response"} - known:
            file.message_type.add(name=message)
        service.method.add(name=name, input_type=f".later.{request}", output_type=f".later.{name}Response")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("later.DeviceService")


def test_a_method_that_is_added_to_a_service_is_known_by_its_request():
    later = methods.Service(service_with(("CheckIn", "CheckInRequest"), ("ShareKeys", "ShareKeysRequest")))
    added = list(later)[1]
    assert (added.path, added.handler) == ("/later.DeviceService/ShareKeys", "share_keys")
    assert later.taking(added.request) is added
    assert added.response.DESCRIPTOR.full_name == "later.ShareKeysResponse"


def test_two_methods_that_take_one_message_cannot_be_told_apart():
    with pytest.raises(ValueError, match=r"two methods of later\.DeviceService"):
        methods.Service(service_with(("CheckIn", "CheckInRequest"), ("CheckOut", "CheckInRequest")))


def test_the_example_runs():
    assert doctest.testmod(methods, raise_on_error=True).attempted == 2
