"""Stock federated averaging over tensors of FedNCF's shapes; it notes each round's clients in a file."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()

_SHAPES = ((1682, 32), (1682, 128), (128, 256), (128,), (64, 128), (64,), (32, 64), (32,), (1, 64), (1,))


class _Averaging(FedAvg):
    """The stock averaging, which notes how many clients it averaged."""

    marks: Path

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        received = list(replies)
        result = super().aggregate_train(server_round, received)
        with self.marks.open("a") as file:
            file.write(f"{sum(reply.has_content() for reply in received)}\n")
        return result


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Trains all rounds.

    Args:
        grid: the clients.
        context: holds the number of rounds and of nodes, and the file.
    """
    config = context.run_config
    nodes = int(config["nodes"])
    strategy = _Averaging(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)
    strategy.marks = Path(str(config["marks"]))
    arrays = ArrayRecord([np.zeros(shape, np.float32) for shape in _SHAPES])
    strategy.start(grid, arrays, num_rounds=int(config["rounds"]))
