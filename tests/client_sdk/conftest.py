"""A small task with real blobs, a scripted coordinator that serves it, and state folders."""
# ruff: noqa: N802 - the names of gRPC's servicers

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from math import inf

import grpc
import numpy as np
import onnx
import pytest
from google.protobuf.duration_pb2 import Duration
from onnx import TensorProto, helper

from client_sdk import FedClient, draws
from client_sdk.kernel import adversary, contract, fedncf
from client_sdk.kernel.models import RECOMMENDERS
from client_sdk.onnx.graph import metadata
from client_sdk.plan import AdversaryPlan
from client_sdk.store.sqlite_store import SqliteStore
from export import step
from export.exporter import stamp
from fedau2.v1 import device_pb2, device_pb2_grpc, task_pb2
from fedau2.v1.device_pb2 import (
    Assignment,
    CheckInResponse,
    FetchResourceResponse,
    Rejection,
    UploadContributionRequest,
)
from fedau2.v1.task_pb2 import Adversary, LocalUpdate, Optimizer, Plan, RetryWindow, ServerStep, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_SHARED
from fedau2.wire import blobs, manifest
from fedau2.wire.methods import DEVICE
from fedau2.wire.status import RETRY_METADATA, Status, StatusError
from tests.client_sdk.sessions import record

ITEMS = [f"film-{row}" for row in range(12)]
WINDOW = RetryWindow(delay_min=Duration(seconds=5), delay_max=Duration(seconds=9))


def tensor_input(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def serialise(nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def prepare_graph(specs):
    """Every shared tensor in, twice the item table out."""
    shared = [spec for spec in specs if spec.scope == TENSOR_SCOPE_SHARED]
    inputs = [tensor_input(spec.name, TensorProto.FLOAT, list(spec.shape)) for spec in shared]
    node = helper.make_node("Add", ["item_gmf", "item_gmf"], ["doubled"])
    return serialise([node], inputs, [tensor_input("doubled", TensorProto.FLOAT, ["n", "d"])])


def recommend_graph(specs, history=False):
    """Scores are doubled @ user_gmf, plus 100 on every row of the history where the graph declares it."""
    private = [tensor_input(spec.name, TensorProto.FLOAT, list(spec.shape)) for spec in manifest_private(specs)]
    inputs = [
        tensor_input("doubled", TensorProto.FLOAT, ["n", "d"]),
        *private,
        tensor_input("seen", TensorProto.INT64, ["s"]),
        tensor_input("k", TensorProto.INT64, []),
    ]
    nodes = [helper.make_node("MatMul", ["doubled", "user_gmf"], ["plain"])]
    if history:
        inputs.append(tensor_input("history", TensorProto.INT64, ["h"]))
        nodes.append(helper.make_node("Shape", ["history"], ["h"]))
        nodes.append(helper.make_node("Expand", ["hundred", "h"], ["hundreds"]))
        nodes.append(helper.make_node("ScatterElements", ["plain", "history", "hundreds"], ["logits"], reduction="add"))
    else:
        nodes.append(helper.make_node("Identity", ["plain"], ["logits"]))
    nodes += [
        helper.make_node("Shape", ["seen"], ["s"]),
        helper.make_node("Expand", ["lowest", "s"], ["lowests"]),
        helper.make_node("ScatterElements", ["logits", "seen", "lowests"], ["masked"]),
        helper.make_node("Reshape", ["k", "one"], ["top"]),
        helper.make_node("TopK", ["masked", "top"], ["scores", "items"]),
    ]
    outputs = [tensor_input("items", TensorProto.INT64, ["n"]), tensor_input("scores", TensorProto.FLOAT, ["n"])]
    constants = [
        helper.make_tensor("lowest", TensorProto.FLOAT, [1], [-np.inf]),
        helper.make_tensor("hundred", TensorProto.FLOAT, [1], [100.0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
    ]
    return serialise(nodes, inputs, outputs, constants)


def manifest_private(specs):
    return manifest.private(TaskManifest(tensors=specs))


@dataclass(frozen=True)
class Bundle:
    """A manifest and every blob that it names, its own bytes among them."""

    manifest: TaskManifest
    blobs: dict
    checkpoint: task_pb2.Resource
    round: int = 0

    @property
    def address(self):
        return blobs.resource(self.manifest.SerializeToString(deterministic=True))

    def assignment(self, number=0, round_number=None, task_id="task", bound=1e6):
        return Assignment(
            assignment_id=bytes([number]) * 16,
            task_id=task_id,
            round=self.round if round_number is None else round_number,
            bound=bound,
            manifest=self.address,
            checkpoint=self.checkpoint,
            lease=Duration(seconds=600),
            next_check_in=WINDOW,
        )

    def with_manifest(self, **fields):
        """The same task with other fields in its manifest."""
        changed = TaskManifest()
        changed.CopyFrom(self.manifest)
        changed.MergeFrom(TaskManifest(**fields))
        data = changed.SerializeToString(deterministic=True)
        return replace(self, manifest=changed, blobs=self.blobs | {blobs.sha256(data): data})

    def with_checkpoint(self, seed):
        """The same task at the next model version."""
        data = checkpoint(self.manifest, seed)
        return replace(
            self, blobs=self.blobs | {blobs.sha256(data): data}, checkpoint=blobs.resource(data), round=self.round + 1
        )


def checkpoint(task, seed):
    return blobs.pack(draws.initial(manifest.shared(task).values(), bytes([seed]) * 16))


def make_bundle(items=ITEMS, steps=2, history=False):
    protected = Adversary(
        name="gender", attribute="gender", classes=["M", "F"], protects=["user_gmf"],
        head=task_pb2.HEAD_DSVAE, trigger=task_pb2.TRIGGER_SUT, variance=4, epsilon=40,
    )  # fmt: skip
    specs = fedncf.tensors(len(items), fedncf.Widths(gmf=4, mlp=6, hidden=(5,)))
    specs += adversary.tensors(AdversaryPlan.of(protected), contract.states(fedncf, specs), len(items))
    local = LocalUpdate(steps=steps, negatives=2, chunk=16, private_learning_rate=0.1, shared_learning_rate=0.05)
    adam = Optimizer(kind=task_pb2.OPTIMIZER_KIND_ADAM, learning_rate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-8)
    plan = Plan(local=local, adversaries=[protected], server=ServerStep(shared=adam, adversary=adam))
    task = TaskManifest(
        format=manifest.FORMAT, model="fedncf", tensors=specs, plan=plan, items=len(items), draw=fedncf.DRAW
    )
    parts = {
        "catalogue": "\n".join(items).encode(),
        "checkpoint": checkpoint(task, 0),
    }
    task.catalogue.CopyFrom(blobs.resource(parts["catalogue"]))
    parts["prepare"] = stamp(prepare_graph(specs), metadata(task, task_pb2.GRAPH_KIND_PREPARE))
    parts["recommend"] = stamp(recommend_graph(specs, history), metadata(task, task_pb2.GRAPH_KIND_RECOMMEND))
    parts["step"] = stamp(step.export(RECOMMENDERS["fedncf"], task), metadata(task, task_pb2.GRAPH_KIND_STEP))
    task.checkpoint.CopyFrom(blobs.resource(parts["checkpoint"]))
    task.graphs.add(kind=task_pb2.GRAPH_KIND_PREPARE, resource=blobs.resource(parts["prepare"]))
    task.graphs.add(kind=task_pb2.GRAPH_KIND_RECOMMEND, resource=blobs.resource(parts["recommend"]))
    task.graphs.add(kind=task_pb2.GRAPH_KIND_STEP, resource=blobs.resource(parts["step"]))
    data = [*parts.values(), task.SerializeToString(deterministic=True)]
    return Bundle(task, {blobs.sha256(each): each for each in data}, task.checkpoint)


@dataclass
class Remote:
    """A scripted coordinator. `refusals` maps a call's name to what it raises; `calls` keeps what was asked.

    It is a blocking transport by itself, and an object that handles DeviceService.
    """

    bundle: Bundle
    assignment: Assignment | None = None
    refusals: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    sizes: list = field(default_factory=list)
    offset: int = 0

    def _answer(self, call, request, response):
        self.calls.append((call, request))
        if error := self.refusals.get(call):
            raise error
        return response

    def check_in(self, request):
        response = CheckInResponse(assignment=self.assignment)
        if self.assignment is None or request.without_place:
            reason = device_pb2.REJECTION_REASON_ROUND_FULL
            if request.without_place:
                reason = device_pb2.REJECTION_REASON_NO_PLACE_WANTED
            response = CheckInResponse(rejection=Rejection(reason=reason, retry=WINDOW))
        return self._answer("check_in", request, response)

    def fetch(self, request):
        self._answer("fetch", request, None)
        if request.sha256 not in self.bundle.blobs:
            raise StatusError(Status.NOT_FOUND, "no such blob")
        return blobs.chunks(self.bundle.blobs[request.sha256], request.offset)

    def upload(self, header, data):
        return self._answer("upload", (header, data), device_pb2.UploadContributionResponse(next_check_in=WINDOW))

    def upload_offset(self, request):
        return self._answer("offset", request, device_pb2.UploadOffsetResponse(offset=self.offset))

    def report_failure(self, request):
        return self._answer("report_failure", request, device_pb2.ReportFailureResponse(next_check_in=WINDOW))

    def names(self):
        return [name for name, _ in self.calls]

    def call(self, request, timeout=inf):
        """`Transport.call`."""
        method = DEVICE.taking(type(request))
        return getattr(self, method.handler)(request)

    def receive(self, request, timeout=inf):
        """`Transport.receive`."""
        return self.fetch_resource(request)

    def send(self, kind, requests, timeout=inf):
        """`Transport.send`."""
        assert kind is UploadContributionRequest
        return self.upload_contribution(requests)

    def fetch_resource(self, request):
        return (FetchResourceResponse(data=data) for data in self.fetch(request))

    def upload_contribution(self, requests):
        header, *rest = requests
        assert header.WhichOneof("part") == "header"
        assert all(request.WhichOneof("part") == "data" for request in rest)
        self.sizes += [len(request.data) for request in rest]
        return self.upload(header.header, b"".join(request.data for request in rest))


class Servicer(device_pb2_grpc.DeviceServiceServicer):
    """A scripted coordinator behind gRPC."""

    def __init__(self, remote):
        self.remote = remote

    def _run(self, context, call):
        try:
            return call()
        except StatusError as error:
            if error.retry is not None:
                context.set_trailing_metadata(((RETRY_METADATA, error.retry.SerializeToString()),))
            code = next(code for code in grpc.StatusCode if code.value[0] == error.status)
            context.abort(code, str(error))

    def CheckIn(self, request, context):
        return self._run(context, lambda: self.remote.check_in(request))

    def FetchResource(self, request, context):
        yield from self._run(context, lambda: self.remote.fetch_resource(request))

    def UploadContribution(self, request_iterator, context):
        return self._run(context, lambda: self.remote.upload_contribution(request_iterator))

    def UploadOffset(self, request, context):
        return self._run(context, lambda: self.remote.upload_offset(request))

    def ReportFailure(self, request, context):
        return self._run(context, lambda: self.remote.report_failure(request))


@pytest.fixture(scope="session")
def bundle():
    return make_bundle()


@pytest.fixture(scope="session")
def bundles():
    """Makes other tasks."""
    return make_bundle


@pytest.fixture
def window():
    return WINDOW


@pytest.fixture
def remote(bundle):
    return Remote(bundle, bundle.assignment())


@pytest.fixture
def serve():
    """Serves a servicer on a free port, or a given address, and stops it at the end."""
    servers = []

    def start(servicer, address="127.0.0.1:0", credentials=None):
        server = grpc.server(ThreadPoolExecutor(4))
        device_pb2_grpc.add_DeviceServiceServicer_to_server(servicer, server)
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        server.start()
        servers.append(server)
        return address.replace(":0", f":{port}")

    yield start
    for server in servers:
        server.stop(None).wait()


@pytest.fixture
def servicer(remote):
    return Servicer(remote)


@pytest.fixture
def address(serve, servicer):
    return serve(servicer)


@pytest.fixture
def silent():
    """A servicer that never answers, let go at the end; `left` is the time that a caller had when it hung up."""
    over = threading.Event()

    class Silent(device_pb2_grpc.DeviceServiceServicer):
        def __init__(self):
            self.called, self.left, self.hung_up = threading.Event(), None, threading.Event()

        def CheckIn(self, request, context):
            context.add_callback(lambda: self._end(context))
            self.called.set()
            over.wait()
            return CheckInResponse()

        def _end(self, context):
            self.left = context.time_remaining()
            self.hung_up.set()

    yield Silent()
    over.set()


@pytest.fixture
def nowhere(tmp_path):
    """An address at which nobody listens."""
    return f"unix:{tmp_path}/nobody.sock"


@pytest.fixture
def client(tmp_path, address):
    """A client of the scripted coordinator with something to train on."""
    with FedClient.open(tmp_path / "state", address, "films") as opened:
        opened.record("film-1")
        yield opened


@pytest.fixture
def told(client):
    """What a client tells its subscribers."""
    events = []
    client.events.subscribe(events.append)
    return events


@pytest.fixture
def store(tmp_path):
    with closing(SqliteStore(tmp_path / "state")) as opened:
        yield opened


@pytest.fixture
def busy(store):
    """A store with something to train on."""
    record(store)
    return store
