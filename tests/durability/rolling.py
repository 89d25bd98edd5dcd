"""Replaces coordinators one after the other by those of another version, behind a load balancer, under load."""

import signal
import time
from contextlib import ExitStack, contextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.durability.balancer import Balancer
from tests.durability.runs import Run

_LOOK = 0.02
_PATIENCE = 120


@contextmanager
def balanced(replicas):
    """Lets the devices and operators of these coordinators call load balancers in front of them."""
    with ExitStack() as stack:
        listed = ([getattr(member, name) for member in replicas.all] for name in ("devices", "admin"))
        replicas.addresses = tuple(stack.enter_context(Balancer(targets)).address for targets in listed)
        yield replicas


class Rolling(Run):
    """A run in which all coordinators are replaced, once for each of these versions.

    Args:
        versions: folders of sources.
    """

    def __init__(self, fleet, replicas, task_id, versions):
        super().__init__(fleet, replicas, task_id, ["upgrade"] * len(versions))
        self._versions = iter(versions)

    def upgrade(self):
        """As an operator does it: one after the other, the leader last, each once the one before answers."""
        version, leader = next(self._versions), self.replicas.await_leader()
        for member in self.replicas.members:
            await_answers(member)
        for member in [member for member in self.replicas.members if member is not leader]:
            self._stop(member, version)
            member.start()
            await_answers(member)
            self.figures.events["stand-bys replaced"] += 1
        former, began = leader.child, time.monotonic()
        self._stop(leader, version)
        self.replicas.await_leader(other_than=former)
        self.figures.takeovers.append(time.monotonic() - began)
        self.replicas.supervise()
        await_answers(leader)
        self.figures.events["leaders replaced"] += 1

    def _stop(self, member, version):
        assert member.end(signal.SIGTERM) == 0, member.log.read_text()[-4000:]
        member.sources = version


def await_answers(member):
    """Waits until a coordinator says that it serves, as the leader or as a stand-by."""
    end = time.monotonic() + _PATIENCE
    while not answers(member):
        assert time.monotonic() < end, member.log.read_text()[-4000:]
        time.sleep(_LOOK)


def answers(member):
    """Whether a coordinator says that it serves, as the leader or as a stand-by."""
    request = health_pb2.HealthCheckRequest()
    with grpc.insecure_channel(member.devices, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
        except grpc.RpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING
