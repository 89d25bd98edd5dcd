"""Both services over gRPC: statuses, who is let in where, and requests that do not parse."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fedau2.logs import Seldom
from fedau2.v1 import unmasker_pb2, unmasker_pb2_grpc
from fedau2.v1.unmasker_pb2 import (
    CloseRoundRequest,
    EnrolRequest,
    LogEntry,
    LogRequest,
    OpenRoundRequest,
    PolicyUsed,
    StatusRequest,
)
from fedau2.wire.identity import log
from fedau2.wire.identity.services import ENROLMENT, UNMASK
from tests import certificates
from tests.unmasker.device import Device, opening
from tests.unmasker.served import served
from unmasker.errors import BooksError, FolderError
from unmasker.grpc import handlers as unmasker_handlers
from unmasker.grpc.server import Tls

CODE = grpc.StatusCode


@pytest.fixture
def servers(unmasker):
    with served(unmasker) as servers:
        yield servers


@pytest.fixture
def stubs(servers):
    with grpc.insecure_channel(servers.devices) as first, grpc.insecure_channel(servers.coordinators) as second:
        yield unmasker_pb2_grpc.EnrolmentServiceStub(first), unmasker_pb2_grpc.UnmaskServiceStub(second)


def refused(call, *arguments):
    def whole():
        return list(call(*arguments, timeout=30))  # of a stream

    with pytest.raises(grpc.RpcError) as raised:
        whole()
    return raised.value.code()


def test_a_device_enrols_a_coordinator_opens_a_round_and_both_are_in_the_log(stubs, unmasker):
    devices, coordinators = stubs
    identity = unmasker.books.keys.public.identity
    request = Device().request(identity)
    assert devices.Enrol(request, timeout=30) == devices.Enrol(request, timeout=30)
    opened = coordinators.OpenRound(opening(1), timeout=30)
    extract = log.read(devices.Log(LogRequest(first=opened.entry), timeout=30), identity, opened.entry)
    assert extract.holds(opened.key)
    status = coordinators.Status(StatusRequest(), timeout=30)
    assert status.head == extract.head == opened.head
    assert (status.open_rounds, status.classes[0].live, status.keys.identity) == (1, 1, identity)
    coordinators.CloseRound(CloseRoundRequest(task_id=opened.key.task_id, round=1), timeout=30)
    assert coordinators.Status(StatusRequest(), timeout=30).open_rounds == 0


def test_a_long_log_comes_whole(stubs, unmasker):
    devices, _ = stubs
    with unmasker.books.writing() as page:
        for number in range(300):
            page.log(LogEntry(policy=PolicyUsed(policy=b"%d" % number)))
    identity = unmasker.books.keys.public.identity
    whole = log.read(devices.Log(LogRequest(), timeout=60), identity)
    assert len(whole.entries) == whole.head.size > 300


def test_refusals_have_their_statuses(stubs, unmasker):
    devices, coordinators = stubs
    coordinators.OpenRound(opening(1), timeout=30)
    assert refused(devices.Enrol, EnrolRequest()) == CODE.INVALID_ARGUMENT
    identity = unmasker.books.keys.public.identity
    assert refused(devices.Enrol, Device().request(identity, 3, b"token")) == CODE.FAILED_PRECONDITION
    assert refused(devices.Log, LogRequest(first=10**6)) == CODE.OUT_OF_RANGE
    assert refused(devices.Log, LogRequest(first=2**64 - 1)) == CODE.OUT_OF_RANGE
    assert refused(coordinators.OpenRound, OpenRoundRequest()) == CODE.INVALID_ARGUMENT
    assert refused(coordinators.OpenRound, opening(0)) == CODE.ABORTED
    assert refused(coordinators.OpenRound, opening(1, checkpoint=b"x")) == CODE.ALREADY_EXISTS
    assert refused(coordinators.CloseRound, CloseRoundRequest()) == CODE.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("error", "code"), [(ValueError, CODE.INTERNAL), (BooksError, CODE.UNAVAILABLE), (FolderError, CODE.UNAVAILABLE)]
)
def test_a_fault_is_an_error_whose_text_says_nothing(stubs, unmasker, monkeypatch, error, code):
    """A database that is locked, or a full disk, passes: devices call again."""

    def fails():
        raise error("secret")

    monkeypatch.setattr(unmasker.books, "writing", fails)
    with pytest.raises(grpc.RpcError) as raised:
        stubs[1].OpenRound(opening(1), timeout=30)
    assert raised.value.code() == code
    assert "secret" not in raised.value.details()


def test_each_address_has_its_own_methods(servers):
    for address, others in ((servers.devices, UNMASK), (servers.coordinators, ENROLMENT)):
        with grpc.insecure_channel(address) as channel:
            for method in others:
                call = channel.stream_stream(method.path)
                assert refused(call, iter([b""])) == CODE.UNIMPLEMENTED
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
            assert health.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("service", [ENROLMENT, UNMASK], ids=lambda service: service.name)
def test_requests_that_do_not_parse_are_the_callers_fault(servers, service):
    address = servers.devices if service is ENROLMENT else servers.coordinators
    with grpc.insecure_channel(address) as channel:
        for method in service:
            call = channel.stream_stream(method.path)
            assert refused(call, iter([b"\xff\xff\xff"])) == CODE.INVALID_ARGUMENT


def test_calls_that_are_refused_do_not_fill_the_log(servers, caplog, monkeypatch):
    monkeypatch.setattr(unmasker_handlers, "REFUSED", Seldom())
    caplog.set_level("INFO")
    with grpc.insecure_channel(servers.devices) as channel:
        for _ in range(30):
            call = channel.stream_stream(next(iter(ENROLMENT)).path)
            assert refused(call, iter([b"\xff\xff\xff"])) == CODE.INVALID_ARGUMENT
    assert [record.getMessage() for record in caplog.records] == ["refused: InvalidRequestError"]


def test_over_tls_coordinators_must_show_a_certificate_and_devices_need_none(unmasker, tmp_path):
    authority, stranger = certificates.make(), certificates.make()
    key, certificate = certificates.make(authority=authority)
    paths = {"key": key, "certificate": certificate, "ca": authority[1]}
    for name, data in paths.items():
        (tmp_path / name).write_bytes(data)
    plain = Tls(tmp_path / "certificate", tmp_path / "key")
    mutual = Tls(tmp_path / "certificate", tmp_path / "key", tmp_path / "ca")

    def call(address, stub, request, shown=(None, None)):
        credentials = grpc.ssl_channel_credentials(authority[1], *shown)
        with grpc.secure_channel(address, credentials) as channel:
            return getattr(stub(channel), type(request).__name__.removesuffix("Request"))(request, timeout=30)

    with served(unmasker, (plain, mutual)) as servers:
        device = Device().request(unmasker.books.keys.public.identity)
        assert call(servers.devices, unmasker_pb2_grpc.EnrolmentServiceStub, device).certificate
        right = certificates.make(authority=authority)
        assert call(servers.coordinators, unmasker_pb2_grpc.UnmaskServiceStub, opening(1), right).key.round == 1
        for shown in ((None, None), certificates.make(authority=stranger)):
            with pytest.raises(grpc.RpcError) as raised:
                call(servers.coordinators, unmasker_pb2_grpc.UnmaskServiceStub, opening(2), shown)
            assert raised.value.code() == CODE.UNAVAILABLE


def test_a_certificate_that_is_replaced_is_used_without_a_restart(unmasker, tmp_path):
    old, new = certificates.make(), certificates.make()
    paths = tmp_path / "key", tmp_path / "certificate"

    def write(pair):
        for path, data in zip(paths, pair, strict=True):
            path.write_bytes(data)

    def trusting(address, pair):
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(address, grpc.ssl_channel_credentials(pair[1]), options) as channel:
            try:
                unmasker_pb2_grpc.EnrolmentServiceStub(channel).Log(LogRequest(), timeout=30).next()
            except grpc.RpcError as error:
                return error.code()
        return CODE.OK

    write(old)
    with served(unmasker, (Tls(paths[1], paths[0]), None)) as servers:
        answers = [trusting(servers.devices, old)]
        paths[1].write_bytes(new[1])  # its key is not there yet
        answers.append(trusting(servers.devices, old))
        write(new)
        answers += [trusting(servers.devices, pair) for pair in (old, new)]
    assert answers == [CODE.OK, CODE.OK, CODE.UNAVAILABLE, CODE.OK]


def test_every_method_takes_a_message_of_its_own():
    names = [method.request.__name__ for service in (ENROLMENT, UNMASK) for method in service]
    assert len(set(names)) == len(names) == len([*ENROLMENT]) + len([*UNMASK])
    assert {service.full_name for service in unmasker_pb2.DESCRIPTOR.services_by_name.values()} == {
        ENROLMENT.name,
        UNMASK.name,
    }
