"""A personal step: a local step of the task's training graph from which only the private tensors move."""

from dataclasses import replace

import numpy as np

from client_sdk.draws import Stream
from client_sdk.errors import DivergedError
from client_sdk.onnx.onnx_training import Drawn, GraphTask, OnnxTraining
from client_sdk.protocol.values import ClientData, PrivateState
from fedau2.v1.task_pb2 import OBJECTIVE_CONFUSION


class PersonalSteps:
    """The personal steps of one client on one model version.

    A step takes all of the client's interactions, with negatives and noise that are drawn anew. If an attribute of the
    client is known, the objective `confusion` is followed as in a contribution. The objective `reversal` is left out:
    against an adversary that does not answer, it writes the label into the private tensors (docs/results/personal.md).

    Args:
        task: the model version with its training graph.
        round_number: rounds that the model has been trained for.
        client: the client's data.

    Attributes:
        client: as above, with the labels that the steps use, and the state after the steps that were taken.
    """

    def __init__(self, task: GraphTask, round_number: int, client: ClientData) -> None:
        self._task = replace(task, plan=task.plan.personal())
        confusing = {each.name for each in task.plan.adversaries if each.objective == OBJECTIVE_CONFUSION}
        labels = {name: label for name, label in client.labels.items() if name in confusing}
        self._round, self.client = round_number, replace(client, labels=labels)

    @property
    def state(self) -> PrivateState:
        """The client's private state after the steps that were taken."""
        return self.client.state

    def step(self, number: int) -> None:
        """Takes a step. If it raises, the state stays as it was.

        Args:
            number: of the step. No number may be used twice for a client and a task: its randomness would recur.

        Raises:
            NoDataError: the client has nothing to train on.
            UnsupportedTaskError: the graph cannot be run on this client, or does not give what it should.
            ResourceLimitError: it takes more memory or time than the engine's limits say.
            DivergedError: the step gave values that are not finite.
        """
        client = self.client
        drawn = Drawn.draw(self._task.plan, number, client, Stream.PERSONAL)
        training = OnnxTraining(self._task, self._round, drawn, client.labels, client.state)
        training.step()
        state = training.finish().state
        parts = (state.values, state.first, state.second)
        if not all(np.isfinite(value).all() for part in parts for value in part.values()):
            raise DivergedError("a personal step gave values that are not finite; the state before it stays")
        self.client = replace(client, state=state)
