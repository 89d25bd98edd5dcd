"""A leader and a stand-by, over real gRPC."""

import asyncio
import time
from contextlib import asynccontextmanager

import grpc

from coordinator.engine.coordinator import Coordinator
from coordinator.engine.limited import Limited
from coordinator.grpc.door import StandBy
from coordinator.grpc.forwarding import Forwarding, Line
from coordinator.grpc.peers import Peers
from coordinator.grpc.server import ADMIN, Servers
from coordinator.grpc.tls import Tls
from coordinator.metrics.metrics import Metrics
from coordinator.model.limits import AddressLimits
from fedau2.wire import methods
from tests import certificates

AUTHORITY = certificates.make(names=(), common="authority", signs=True)
HERE = certificates.make(authority=AUTHORITY, names=("coordinators.example", "localhost"))
ANNA, VERA = (certificates.make(authority=AUTHORITY, names=(), common=name) for name in ("anna", "vera"))


def write(folder):
    """Writes the files of TLS, and the roles of operators."""
    (folder / "key.pem").write_bytes(HERE[0])
    (folder / "certificate.pem").write_bytes(HERE[1])
    (folder / "authority.pem").write_bytes(AUTHORITY[1])
    (folder / "roles.toml").write_text('anna = "admin"\nvera = "viewer"\n')


def tls(files, name):
    return Tls(files / "certificate.pem", files / "key.pem", files / "authority.pem", name)


class Pair:
    """A leader and a stand-by, with the connection between them."""

    def __init__(self, coordinator, leader, peers, stand_by, line):
        self.coordinator, self.leader, self.peers, self.stand_by, self.line = (
            coordinator, leader, peers, stand_by, line,
        )  # fmt: skip


@asynccontextmanager
async def pair(folder, limits=None, devices_tls=None, admin_tls=None, roles=None, peer_tls=None, **options):
    leader, other = [await Servers.start("127.0.0.1:0", "127.0.0.1:0", devices_tls, admin_tls, roles) for _ in range(2)]
    line, peers = Line(peer_tls), Peers(leader.door.led, "127.0.0.1:0", peer_tls)
    await peers.server.start()
    limits = AddressLimits() if limits is None else limits
    made = [
        Forwarding(service, line, Limited(limits.fresh(), Metrics(), time.time)) for service in (methods.DEVICE, ADMIN)
    ]
    other.stand_by(StandBy(*made), led=True)
    try:
        async with await Coordinator.open(folder / "state", limits=limits.fresh(), **options) as coordinator:
            await leader.serve(coordinator)
            await line.turn(peers.address)
            yield Pair(coordinator, leader, peers, other, line)
            await line.close()
    finally:
        await asyncio.gather(other.stop(), leader.stop(), peers.server.stop(0))


@asynccontextmanager
async def channel(address, person):
    shown = (None, None) if person is None else person
    secured = grpc.ssl_channel_credentials(AUTHORITY[1], *shown)
    async with grpc.aio.secure_channel(f"localhost:{address.rpartition(':')[2]}", secured) as opened:
        yield opened
