"""The reference engine: the kernel on PyTorch, for a cohort of one. Importing it loads PyTorch."""

import numpy as np

from client_sdk.errors import DamagedTaskError
from client_sdk.kernel.training import Cohort, CohortTraining, Task
from client_sdk.protocol.values import ClientData, Job, TrainingResult
from fedau2.wire import blobs, encodings, matchings
from fedau2.wire.errors import BlobError


class TorchEngine:
    """Trains one client at a time; `interfaces.Engine`. Keeps the newest checkpoint unpacked, for fleets."""

    def __init__(self) -> None:
        self._task: Task | None = None
        self._checkpoint = b""

    def begin(self, job: Job) -> "TorchTraining":
        """Prepares one client's training.

        Raises:
            UnsupportedTaskError: the model is not known here, or the plan's parameters are not the model's.
            DamagedTaskError: the checkpoint cannot be read.
            NoDataError: the client has nothing to train on.
        """
        if self._task is None or self._checkpoint != job.checkpoint.sha256 or self._task.manifest != job.manifest:
            self._task, self._checkpoint = Task.load(job.manifest, _unpacked(job)), job.checkpoint.sha256
        return TorchTraining(self._task, job.round, _cohort(self._task, job.round, job.client))


class TorchTraining:
    """A local update under way; `interfaces.Training`."""

    def __init__(self, task: Task, round_number: int, cohort: Cohort) -> None:
        self._training = CohortTraining(task, round_number, cohort, summed=False)

    @property
    def steps(self) -> int:
        """Local steps in all."""
        return self._training.steps

    def step(self) -> None:
        """Takes the next local step."""
        self._training.step()

    def finish(self) -> TrainingResult:
        """The result, once all steps have been taken."""
        training = self._training
        return TrainingResult(training.contributions()[0], training.state(), training.report())


def _unpacked(job: Job) -> blobs.Tensors:
    try:
        return encodings.decode(job.tensors)
    except BlobError as error:
        raise DamagedTaskError(f"the checkpoint cannot be read: {error}") from error


def _cohort(task: Task, round_number: int, client: ClientData) -> Cohort:
    names = [part.name for part in matchings.labelled(task.manifest.plan)]
    labels = {name: np.array([client.labels.get(name, -1)]) for name in names}
    state = client.state.copy()  # training changes it, and a store may give a read-only view
    return Cohort.draw(
        task.manifest, round_number, [client.key], [client.interactions], labels, state, [client.weights]
    )
