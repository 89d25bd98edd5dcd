"""The server side of FedAU2: rounds, exact aggregation, a durable ledger, and the gRPC services.

```python
from coordinator import Coordinator, Servers

async def main() -> None:
    servers = await Servers.start("127.0.0.1:8643", "127.0.0.1:8644")
    async with await Coordinator.open(Path("state")) as coordinator:
        await servers.serve(coordinator)
        await coordinator.failed()
```

The packages, in this order; each may import only from those that are listed before it:

* `errors`: the tree of errors, and the status with which each refusal answers a call
* `model`: rules without I/O: the state machine of a round, pace steering, admission by version, a task's values
* `aggregation`: integer sums of contributions, and the server's step on their mean
* `store`: files and the ledger: blobs, the round's log, SQLite or PostgreSQL, the audit's recording
* `evidence`: ways in which a device shows that it is one of the app's, for admissions to rounds
* `metrics`: counts and times for Prometheus, and the HTTP page that shows them
* `engine`: the coordinator on an event loop: tasks, durability, the service for devices, the service for operators
* `grpc`: the two services over gRPC
* `commands`, `bench`, `cli`: the command line `fedau2-coordinator`

Importing this package loads none of them: each is loaded when a name of it is first used.
"""

from typing import TYPE_CHECKING

from fedau2.lazy import exports

if TYPE_CHECKING:
    from coordinator.aggregation.aggregators import Aggregator, ClippedMean, Mean
    from coordinator.aggregation.optimizers import server_step
    from coordinator.engine.coordinator import Coordinator
    from coordinator.errors import CoordinatorError, RefusalError
    from coordinator.grpc.server import Servers
    from coordinator.grpc.tls import Tls
    from coordinator.store.recording import RecordedRound, recorded_rounds

__all__ = [
    "Aggregator",
    "ClippedMean",
    "Coordinator",
    "CoordinatorError",
    "Mean",
    "RecordedRound",
    "RefusalError",
    "Servers",
    "Tls",
    "recorded_rounds",
    "server_step",
]

_MODULES = {
    "Aggregator": "aggregation.aggregators",
    "ClippedMean": "aggregation.aggregators",
    "Coordinator": "engine.coordinator",
    "CoordinatorError": "errors",
    "Mean": "aggregation.aggregators",
    "RecordedRound": "store.recording",
    "RefusalError": "errors",
    "Servers": "grpc.server",
    "Tls": "grpc.tls",
    "recorded_rounds": "store.recording",
    "server_step": "aggregation.optimizers",
}


__getattr__, __dir__ = exports(__name__, _MODULES, __all__)
