"""Tasks with secure sums: devices that mask by the wire functions, and a real unmasker."""

import asyncio
import copy
import hashlib
import os
import shutil
from contextlib import asynccontextmanager, closing

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator.aggregation.optimizers import server_step
from coordinator.aggregation.secure_sum import SecureSum
from coordinator.engine.unmasking import Unmasker
from coordinator.grpc.unmasker_client import UnmaskerClient
from fedau2.v1.device_pb2 import CheckInRequest
from fedau2.v1.secure_pb2 import Grid, SecureSums
from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_OPEN, EnrolRequest, SignedRoundKey
from fedau2.wire import blobs
from fedau2.wire.identity import enrolment
from fedau2.wire.identity.signing import public_bytes
from fedau2.wire.manifest import shared
from fedau2.wire.secure import masked, opening
from fedau2.wire.secure.context import Context
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.policy import FEATURE
from fedau2.wire.secure.quantise import vector
from tests.coordinator import conftest as tools
from tests.durability.server import free_port
from unmasker import Books, Rules, StateFolder
from unmasker import Unmasker as RealUnmasker
from unmasker.engine.turns import Turns
from unmasker.evidence.anybody import Anybody
from unmasker.grpc.server import Servers

MINIMUM = 64
RULES = Rules((Anybody(),))


def bundle(identity=None, goal=MINIMUM, rounds=2, optimizer=tools.ADAM, **policy):
    """A bundle whose contributions are only added up, by the unmasker with this identity key."""
    closing = tools.closing(goal, MINIMUM, over_selection=0.5)
    made = tools.make_bundle(optimizer, rounds=rounds, closing=closing)
    task = made.manifest
    grids = [Grid(tensor=name, exponent=10, clip=2**13) for name in sorted(shared(task))]
    fields = {"version": 1, "modulus_bits": 24, "value_bits": 14, "minimum": MINIMUM, "row_threshold": 10}
    unmaskers = [] if identity is None else [identity]
    task.required_features.append(FEATURE)
    task.secure_sums.CopyFrom(SecureSums(**{**fields, "grids": grids, "unmaskers": unmaskers, **policy}))
    return made


class Device:
    """A device with a certificate, which draws a contribution from its number and the round's."""

    def __init__(self, number, unmasker):
        self.number, self.key = number, Ed25519PrivateKey.generate()
        identity = unmasker.books.keys.public.identity
        request = EnrolRequest(public_key=public_bytes(self.key), evidence_class=EVIDENCE_CLASS_OPEN)
        request.signature = self.key.sign(enrolment.message(request, identity))
        self.certificate = unmasker.enrol(request).certificate
        self.lies = False

    def updates(self, round):
        return tools.make_updates(1000 * round + self.number, knows_attribute=bool(self.number % 3))

    def contribution(self, assignment, task, seed=None):
        """The bytes of its upload for an assignment."""
        key, policy = SignedRoundKey.FromString(assignment.round_key), task.secure_sums
        bound = Context(
            bytes.fromhex(assignment.task_id),
            assignment.round,
            assignment.manifest.sha256,
            assignment.checkpoint.sha256,
            policy,
            key.public_key,
        ).hash()
        seed = os.urandom(32) if seed is None else seed
        words = vector(self.updates(assignment.round), policy, Layout.of(task))
        if self.lies:
            words[Layout.of(task).tensors["tower"]] = 2 ** (policy.modulus_bits - 2)
        packed = masked.mask(words, seed, bound, policy.modulus_bits)
        name = opening.Bound(bound, assignment.assignment_id, hashlib.sha256(packed).digest())
        sealed = opening.seal(name, seed, self.certificate, self.key, key.public_key)
        return masked.Masked(packed, sealed).joined()


def expected(made, rounds):
    """Hash of the checkpoint after rounds, given as numbers and devices, by plain addition of integers."""
    return blobs.sha256(blobs.pack(stepped(made, rounds)))


def stepped(made, rounds, everybody=False):
    """The checkpoint itself; means may be over everybody, carrier or not, as they are with noise."""
    task = made.manifest
    checkpoint, state = blobs.unpack(made.blobs[task.checkpoint.sha256]), {}
    for number, devices in rounds:
        total = SecureSum(task)
        for device in devices:
            words = vector(device.updates(number), task.secure_sums, Layout.of(task))
            if everybody:
                words[Layout.of(task).carried] = 1
            total.add(words)
        checkpoint, state = server_step(task, checkpoint, state, total.mean())
    return checkpoint


class Party:
    """An unmasker on loopback that may go away and come back, and the devices that it has enrolled."""

    def __init__(self, folder, template=None, clock=lambda: 1_800_000_000.0):
        self.folder, self._clock = StateFolder(folder), clock
        if template is None:
            with closing(RealUnmasker(Books.make(self.folder, None, self._clock), RULES)) as made:
                self.identity = made.books.keys.public.identity
                self.devices = [Device(number, made) for number in range(MINIMUM + 30)]
        else:  # enrolling takes seconds
            shutil.copytree(template.folder.path, folder)
            self.identity, self.devices = template.identity, [copy.copy(device) for device in template.devices]
        self.address = f"127.0.0.1:{free_port()}"

    @asynccontextmanager
    async def serving(self):
        """Serves on the address at which it always is."""
        with closing(RealUnmasker.open(self.folder, RULES, clock=self._clock)) as real, closing(Turns(real)) as turns:
            servers = await Servers.start(turns, "127.0.0.1:0", self.address)
            try:
                yield real
            finally:
                await servers.stop()

    def known(self):
        """The unmasker as a coordinator knows it."""
        return Unmasker(self.identity, UnmaskerClient(self.address))


@asynccontextmanager
async def running(folder, party, transport="inproc", **policy):
    """A coordinator with one task, and devices for it."""
    made = bundle(party.identity, **policy)
    async with tools.open_lab(folder / "coordinator", transport, unmasker=party.known()) as lab:
        yield Cohort(lab, made, await lab.create(made))


class Cohort:
    """Devices that take part in the rounds of a task.

    Args:
        lab: of the coordinator.
        made: the task's bundle.
        task_id: the task.
    """

    def __init__(self, lab, made, task_id):
        self.lab, self.made, self.task_id = lab, made, task_id

    async def assignment(self):
        """Checks in until there is a place."""
        while True:
            response = await self.lab.link.check_in_call(CheckInRequest(population="movies", enrolled=True))
            if response.WhichOneof("result") == "assignment":
                return response.assignment
            await asyncio.sleep(0.005)

    async def places(self, devices):
        """An assignment for each device."""
        return [(device, await self.assignment()) for device in devices]

    async def upload(self, places, spoil=lambda device, data: data):
        """Uploads the contributions of devices at once."""
        calls = (
            self.lab.upload(assignment, spoil(device, device.contribution(assignment, self.made.manifest)))
            for device, assignment in places
        )
        await asyncio.gather(*calls)

    async def contribute(self, devices):
        """A round's contributions."""
        places = await self.places(devices)
        await self.upload(places)
        return places

    async def task(self):
        """The task as it stands."""
        return await self.lab.task(self.task_id)

    async def until(self, condition):
        """Waits until the task is so, and returns it."""
        async with asyncio.timeout(60):
            while not condition(task := await self.task()):
                await asyncio.sleep(0.005)
        return task

    async def over(self, number):
        """Waits until so many rounds are over, and returns the task."""
        return await self.lab.committed(self.task_id, number)


def drawn(*shape):
    """Numbers to spoil uploads with."""
    return np.random.default_rng(5).integers(0, 256, shape, np.uint8).tobytes()
