"""An engine of a device that keeps what it reports to the simulator."""

from client_sdk.protocol.interfaces import Engine, Training
from client_sdk.protocol.values import Job, Report, TrainingResult


class RecordingEngine:
    """Records the report of a training, which the device does not upload.

    Args:
        trainer: the engine that trains.

    Attributes:
        report: of the newest training; None before the first has ended.
    """

    def __init__(self, trainer: Engine) -> None:
        self._trainer = trainer
        self.report: Report | None = None

    def begin(self, job: Job) -> "_Recording":
        """Begins a training, whose report is kept when it ends."""
        return _Recording(self, self._trainer.begin(job))


class _Recording:
    def __init__(self, owner: RecordingEngine, training: Training) -> None:
        self._owner, self._training = owner, training

    @property
    def steps(self) -> int:
        return self._training.steps

    def step(self) -> None:
        self._training.step()

    def finish(self) -> TrainingResult:
        result = self._training.finish()
        self._owner.report = result.report
        return result
