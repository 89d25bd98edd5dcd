"""A small task made by hand, and devices that talk to a coordinator in process or over gRPC."""

import asyncio
import copy
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np
import pytest

from coordinator.aggregation import aggregators
from coordinator.aggregation.optimizers import server_step
from coordinator.engine.coordinator import Coordinator
from coordinator.grpc.server import Servers
from coordinator.model.pace import duration
from fedau2.v1 import admin_pb2, admin_pb2_grpc, device_pb2, device_pb2_grpc, task_pb2, tensors_pb2
from fedau2.v1.device_pb2 import CheckInRequest, UploadContributionRequest, UploadHeader, UploadPartRequest
from fedau2.v1.task_pb2 import ClientVersions, ClosingRule, Optimizer, RetryWindow, TaskManifest
from fedau2.v1.tensors_pb2 import Initializer, TensorSpec
from fedau2.wire import blobs, contributions, item_axes, manifest, staleness, succession
from fedau2.wire.contributions import Rows
from fedau2.wire.status import RETRY_METADATA, Status, StatusError
from tests.coordinator.object_stores import objects_url, s3_server, s3_url, s3_way
from tests.coordinator.postgres import database_url, postgres, postgres_url

__all__ = ["database_url", "objects_url", "postgres", "postgres_url", "s3_server", "s3_url", "s3_way"]

ITEMS = 6
ADAM = Optimizer(kind=task_pb2.OPTIMIZER_KIND_ADAM, learning_rate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-8)
SGD = Optimizer(kind=task_pb2.OPTIMIZER_KIND_SGD, learning_rate=0.1)
ADVERSARY = "adversary.gender.head.weight"


def spec(name, shape, kind, scope):
    return TensorSpec(
        name=name,
        shape=shape,
        dtype=tensors_pb2.DTYPE_FLOAT32,
        kind=kind,
        scope=scope,
        initializer=Initializer(distribution=tensors_pb2.DISTRIBUTION_ZEROS),
    )


@dataclass
class Bundle:
    """The task's parts, each of which a test may spoil before it creates the task."""

    manifest: TaskManifest
    blobs: dict[bytes, bytes]
    rounds: int = 3
    population: str = "movies"
    closing: ClosingRule = field(default_factory=lambda: closing(3))
    versions: ClientVersions = field(default_factory=ClientVersions)
    checkpoints: int = 0
    touched_rows: float = 0.0

    async def requests(self):
        header = admin_pb2.CreateTaskHeader(
            population=self.population,
            manifest=self.manifest.SerializeToString(deterministic=True),
            rounds=self.rounds,
            closing=self.closing,
            versions=self.versions,
            checkpoints=self.checkpoints,
            touched_rows=self.touched_rows,
        )
        yield admin_pb2.CreateTaskRequest(header=header)
        for sha256, data in self.blobs.items():
            for piece in blobs.chunks(data):
                yield admin_pb2.CreateTaskRequest(blob=admin_pb2.BlobPart(sha256=sha256, data=piece))

    async def replacement(self, task_id):
        data = self.manifest.SerializeToString(deterministic=True)
        yield admin_pb2.ReplaceTaskRequest(header=admin_pb2.ReplaceTaskHeader(task_id=task_id, manifest=data))
        for sha256, data in self.blobs.items():
            for piece in blobs.chunks(data):
                yield admin_pb2.ReplaceTaskRequest(blob=admin_pb2.BlobPart(sha256=sha256, data=piece))

    def succeeded(self, items, seed=8):
        """A bundle that goes on from this one with other items."""
        task, generator = copy.deepcopy(self.manifest), np.random.default_rng(seed)
        for each in task.tensors:
            each.CopyFrom(item_axes.resized(each, len(items)))
        drawn = {name: generator.normal(size=each.shape) for name, each in manifest.shared(task).items()}
        checkpoint = blobs.pack({name: value.astype(np.float32) for name, value in drawn.items()})
        catalogue = "\n".join(items).encode()
        task.items = len(items)
        task.catalogue.CopyFrom(blobs.resource(catalogue))
        task.checkpoint.CopyFrom(blobs.resource(checkpoint))
        task.ancestors[:] = succession.ancestors(self.manifest.SerializeToString(deterministic=True))
        return Bundle(task, {blobs.sha256(data): data for data in (catalogue, checkpoint)}, self.rounds)

    def write(self, folder):
        (folder / "blobs").mkdir(parents=True)
        (folder / "manifest.binpb").write_bytes(self.manifest.SerializeToString(deterministic=True))
        for sha256, data in self.blobs.items():
            (folder / "blobs" / sha256.hex()).write_bytes(data)


def closing(goal, minimum=None, maximum=None, over_selection=1.0, deadline=1000.0, lease=100.0):
    return ClosingRule(
        goal=goal,
        minimum=goal if minimum is None else minimum,
        maximum=goal if maximum is None else maximum,
        over_selection=over_selection,
        deadline=duration(deadline),
        lease=duration(lease),
    )


def make_bundle(optimizer=ADAM, clip_norm=0, **options):
    specs = [
        spec("items", [ITEMS, 4], tensors_pb2.TENSOR_KIND_TABLE, tensors_pb2.TENSOR_SCOPE_SHARED),
        spec("tower", [3, 2], tensors_pb2.TENSOR_KIND_DENSE, tensors_pb2.TENSOR_SCOPE_SHARED),
        spec(ADVERSARY, [2, 5], tensors_pb2.TENSOR_KIND_DENSE, tensors_pb2.TENSOR_SCOPE_ADVERSARY),
        spec("user", [4], tensors_pb2.TENSOR_KIND_DENSE, tensors_pb2.TENSOR_SCOPE_PRIVATE),
    ]
    generator = np.random.default_rng(7)
    shared = [each for each in specs if each.scope != tensors_pb2.TENSOR_SCOPE_PRIVATE]
    checkpoint = blobs.pack({each.name: generator.normal(size=each.shape).astype(np.float32) for each in shared})
    catalogue = "\n".join(f"movie-{row}" for row in range(ITEMS)).encode()
    adversary = task_pb2.Adversary(
        name="gender",
        attribute="gender",
        classes=["F", "M"],
        protects=["user"],
        head=task_pb2.HEAD_MLP,
        trigger=task_pb2.TRIGGER_SUT,
        epsilon=1,
    )
    task = TaskManifest(
        format=manifest.FORMAT,
        model="fedncf",
        tensors=specs,
        plan=task_pb2.Plan(
            local=task_pb2.LocalUpdate(steps=1, negatives=4, chunk=128, private_learning_rate=0.01),
            adversaries=[adversary],
            server=task_pb2.ServerStep(shared=optimizer, adversary=SGD, clip_norm=clip_norm),
        ),
        items=ITEMS,
        catalogue=blobs.resource(catalogue),
        checkpoint=blobs.resource(checkpoint),
    )
    return Bundle(task, {blobs.sha256(data): data for data in (catalogue, checkpoint)}, **options)


def make_buffered(bundle, most_stale=2, exponent=0.5):
    """Lets a bundle's rounds count late contributions."""
    server, task = bundle.manifest.plan.server, bundle.manifest
    server.buffered.CopyFrom(task_pb2.BufferedRounds(staleness_exponent=exponent, most_stale=most_stale))
    task.required_features.append(staleness.FEATURE)
    return bundle


def make_updates(seed=0, knows_attribute=True):
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.choice(ITEMS, size=3, replace=False))
    updates = {
        "items": Rows(rows, generator.normal(size=(3, 4)).astype(np.float32)),
        "tower": generator.normal(size=(3, 2)).astype(np.float32),
    }
    if knows_attribute:
        updates[ADVERSARY] = generator.normal(size=(2, 5)).astype(np.float32)
    return updates


def make_contribution(seed=0, knows_attribute=True):
    return contributions.encode(make_updates(seed, knows_attribute))


def expected_checkpoint(rounds, knows=lambda seed: True, **options):
    """Hash of the checkpoint after rounds with these seeds, computed without a coordinator."""
    bundle = make_bundle(**options)
    checkpoint, state = blobs.unpack(bundle.blobs[bundle.manifest.checkpoint.sha256]), {}
    for seeds in rounds:
        total = aggregators.of(bundle.manifest)
        for seed in seeds:
            total.add(make_updates(seed, knows(seed)))
        checkpoint, state = server_step(bundle.manifest, checkpoint, state, total.mean())
    return blobs.sha256(blobs.pack(checkpoint))


async def upload_requests(assignment_id, data, sha256=None, size=None, offset=0):
    header = UploadHeader(
        assignment_id=assignment_id,
        size=len(data) if size is None else size,
        sha256=blobs.sha256(data) if sha256 is None else sha256,
        offset=offset,
    )
    yield UploadContributionRequest(header=header)
    for piece in blobs.chunks(data, offset):
        yield UploadContributionRequest(data=piece)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class InProcess:
    """The methods of a coordinator's services."""

    def __init__(self, coordinator):
        devices, admin = coordinator.devices, coordinator.admin
        self.check_in_call = devices.check_in
        self.upload_call = devices.upload_contribution
        self.part_call = devices.upload_part
        self.offset_call = devices.upload_offset
        self.fail_call = devices.report_failure
        self.fetch_call = devices.fetch_resource
        self.create_task = admin.create_task
        self.get_task_call = admin.get_task
        self.list_tasks = admin.list_tasks
        self.pause_call = admin.pause_task
        self.resume_call = admin.resume_task
        self.stop_call = admin.stop_task
        self.roll_back_call = admin.roll_back_task
        self.rounds_call = admin.list_rounds
        self.replace_call = admin.replace_task


class OverGrpc:
    """The same through stubs; a refusal becomes the `StatusError` that a device sees."""

    def __init__(self, devices, admin):
        device = device_pb2_grpc.DeviceServiceStub(devices)
        operator = admin_pb2_grpc.AdminServiceStub(admin)
        self.check_in_call = self._call(device.CheckIn)
        self.upload_call = self._call(device.UploadContribution)
        self.part_call = self._call(device.UploadPart)
        self.offset_call = self._call(device.UploadOffset)
        self.fail_call = self._call(device.ReportFailure)
        self.create_task = self._call(operator.CreateTask)
        self.get_task_call = self._call(operator.GetTask)
        self.list_tasks = self._call(operator.ListTasks)
        self.pause_call = self._call(operator.PauseTask)
        self.resume_call = self._call(operator.ResumeTask)
        self.stop_call = self._call(operator.StopTask)
        self.roll_back_call = self._call(operator.RollBackTask)
        self.rounds_call = self._call(operator.ListRounds)
        self.replace_call = self._call(operator.ReplaceTask)
        self._fetch = device.FetchResource

    async def fetch_call(self, request):
        try:
            async for response in self._fetch(request):
                yield response
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error

    def _call(self, method):
        async def call(request):
            try:
                return await method(request)
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                    raise
                raise self._error(error) from error

        return call

    @staticmethod
    def _error(error):
        trailing = dict(iter(error.trailing_metadata() or ()))
        retry = RetryWindow.FromString(trailing[RETRY_METADATA]) if RETRY_METADATA in trailing else None
        return StatusError(Status(error.code().value[0]), error.details(), retry)


class Lab:
    """A coordinator and ways to use it.

    Attributes:
        link: `InProcess` or `OverGrpc`.
        coordinator: the coordinator, or None if it runs in another process.
    """

    def __init__(self, link, coordinator=None):
        self.link = link
        self.coordinator = coordinator

    async def create(self, bundle=None):
        task = await self.link.create_task((bundle or make_bundle()).requests())
        return task.task_id

    async def check_in(self, population="movies", version="", **request):
        return await self.link.check_in_call(CheckInRequest(population=population, client_version=version, **request))

    async def assignment(self):
        response = await self.check_in()
        assert response.WhichOneof("result") == "assignment", response
        return response.assignment

    async def upload(self, assignment, data, **header):
        return await self.link.upload_call(upload_requests(assignment.assignment_id, data, **header))

    async def part(self, assignment, data, start=0, end=None, **header):
        """Uploads some bytes of a contribution."""
        stated = {"size": len(data), "sha256": blobs.sha256(data), "offset": start, **header}
        header = UploadHeader(assignment_id=assignment.assignment_id, **stated)
        return await self.link.part_call(UploadPartRequest(header=header, data=data[start:end]))

    async def offset(self, assignment, sha256):
        request = device_pb2.UploadOffsetRequest(assignment_id=assignment.assignment_id, sha256=sha256)
        return (await self.link.offset_call(request)).offset

    async def fail(self, assignment, reason=device_pb2.FAILURE_REASON_INTERRUPTED):
        request = device_pb2.ReportFailureRequest(assignment_id=assignment.assignment_id, reason=reason)
        return await self.link.fail_call(request)

    async def fetch(self, sha256, offset=0):
        request = device_pb2.FetchResourceRequest(sha256=sha256, offset=offset)
        return b"".join([response.data async for response in self.link.fetch_call(request)])

    async def task(self, task_id):
        return await self.link.get_task_call(admin_pb2.GetTaskRequest(task_id=task_id))

    async def only_task(self):
        (task,) = (await self.link.list_tasks(admin_pb2.ListTasksRequest())).tasks
        return task

    async def pause(self, task_id):
        return await self.link.pause_call(admin_pb2.PauseTaskRequest(task_id=task_id))

    async def resume(self, task_id):
        return await self.link.resume_call(admin_pb2.ResumeTaskRequest(task_id=task_id))

    async def stop(self, task_id):
        return await self.link.stop_call(admin_pb2.StopTaskRequest(task_id=task_id))

    async def roll_back(self, task_id, target):
        return await self.link.roll_back_call(admin_pb2.RollBackTaskRequest(task_id=task_id, round=target))

    async def rounds(self, task_id):
        return list((await self.link.rounds_call(admin_pb2.ListRoundsRequest(task_id=task_id))).rounds)

    async def replace(self, task_id, bundle):
        return await self.link.replace_call(bundle.replacement(task_id))

    async def committed(self, task_id, rounds):
        while (task := await self.task(task_id)).round < rounds:
            await asyncio.sleep(0.001)
        return task

    async def contribute(self, seeds):
        assignments = [await self.assignment() for _ in seeds]
        await asyncio.gather(
            *(
                self.upload(assignment, make_contribution(seed))
                for assignment, seed in zip(assignments, seeds, strict=True)
            )
        )


@asynccontextmanager
async def open_lab(folder, transport="inproc", clock=None, **options):
    async with await Coordinator.open(folder, clock=clock or Clock(), **options) as coordinator:
        if transport == "inproc":
            yield Lab(InProcess(coordinator), coordinator)
            return
        servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0")
        await servers.serve(coordinator)
        try:
            async with connect(servers.devices, servers.admin) as lab:
                lab.coordinator, lab.link.devices_address = coordinator, servers.devices
                yield lab
        finally:
            await servers.stop()


@asynccontextmanager
async def connect(devices, admin):
    async with grpc.aio.insecure_channel(devices) as one, grpc.aio.insecure_channel(admin) as other:
        yield Lab(OverGrpc(one, other))


class Process:
    """`fedau2-coordinator serve` as a child."""

    def __init__(self, folder, *options):
        command = [sys.executable, "-m", "coordinator", "serve", "--state", str(folder)]
        command += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *options]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.devices = self._address("devices")
        self.admin = self._address("admin")

    def _address(self, what):
        line = self.child.stdout.readline()
        prefix = f"serving {what} on "
        assert line.startswith(prefix), (line, self.child.stderr.read() if not line else "")
        return line.removeprefix(prefix).strip()

    def end(self, end):
        end()
        code = self.child.wait(timeout=30)
        errors = self.child.stderr.read()
        self.child.stdout.close()
        self.child.stderr.close()
        return code, errors


@pytest.fixture(scope="session")
def tools():
    """This file's helpers, for tests that cannot import it."""
    return sys.modules[__name__]


@pytest.fixture(params=["inproc", "grpc"])
def transport(request):
    return request.param
