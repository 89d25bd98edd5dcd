"""Several coordinators and three clients of an app, for tests in which the ledger becomes older than the devices."""

import time
from contextlib import ExitStack, contextmanager

from client_sdk import FedClient
from client_sdk.errors import TransportError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.wishes import Result
from coordinator.cli import main
from tests.durability.audit import postgres_books
from tests.durability.devices import ITEMS, POPULATION
from tests.durability.rolling import balanced

DEVICES = 3
UPLOADED, TOO_SOON = "UPLOADED", "FAILURE_REASON_TOO_SOON"

_CLOSING = "REJECTION_REASON_ROUND_CLOSING"


class Service:
    """Coordinators that serve a task with rounds of three contributions, and clients.

    Attributes:
        clients: of three devices.
    """

    def __init__(self, replicas, clients):
        self._replicas, self.clients = replicas, clients

    def answer(self, client):
        """The reason of a rejection, or `UPLOADED`. Who does not answer is asked again."""
        while True:
            self._replicas.supervise()
            try:
                outcome = client.sync()
            except TransportError:
                time.sleep(0.05)
                continue
            if outcome.reason != _CLOSING:
                return outcome.reason if outcome.result is Result.REJECTED else outcome.result.name

    def take_part(self, clients=None):
        """Lets devices contribute once, all three unless some are named, and waits for the commit."""
        before = self.committed()
        for client in clients or self.clients:
            assert self.answer(client) == UPLOADED
        while self.committed() == before:
            time.sleep(0.01)

    def committed(self):
        """Number of committed rounds."""
        with postgres_books(self._replicas.url) as ledger:
            return ledger.newest()[2]

    def counted(self):
        """Contributions that each committed round counts."""
        with postgres_books(self._replicas.url) as ledger:
            rounds = [report.round for report in ledger.reports()]
            return [rounds.count(number) for number in range(ledger.newest()[2])]

    def commits(self):
        """Transactions of the ledger."""
        with postgres_books(self._replicas.url) as ledger:
            return ledger.rows("SELECT number FROM commits")[0][0]

    def home(self):
        """The folder in the shared folder to which the ledger belongs."""
        with postgres_books(self._replicas.url) as ledger:
            return self._replicas.shared / ledger.rows("SELECT folder FROM meta")[0][0]

    def doctor(self, *options):
        """Runs the doctor on that folder. Returns its exit status."""
        return main(["doctor", "--state", str(self.home()), "--database", self._replicas.url, *options])


@contextmanager
def service(folder, replicas, bundle):
    """Runs these coordinators, and opens clients that reach them by a load balancer."""
    with ExitStack() as stack:
        stack.callback(replicas.abandon)
        stack.enter_context(balanced(replicas))
        replicas.supervise()
        replicas.create_task(bundle, "--rounds", 50, "--goal", DEVICES, "--over-selection", 3)
        clients = []
        for number in range(DEVICES):
            place = (folder / f"device-{number}", replicas.addresses[0], POPULATION)
            clients.append(stack.enter_context(FedClient.open(*place, engine=TorchEngine())))
            clients[-1].record_many(ITEMS[number : number + 5])
        yield Service(replicas, clients)
