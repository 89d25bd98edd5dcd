"""Event files of TensorBoard, with the settings as hyper-parameters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export.plan import planfile
from export.plan.fragments import flat
from simulator.config.config import Config
from simulator.errors import TrackingError
from simulator.reporting.trackers.contract import Tracker
from simulator.reporting.trackers.packages import module

COMPARED = ("test/ndcg@10", "test/hr@10", "test/bacc_strong", "test/bacc_strong_all")
"""Metrics that stand beside the hyper-parameters of a run."""


class TensorBoard(Tracker):
    """Writes event files into a folder per run; they replace those of an earlier start of the same run.

    Args:
        folder: the log directory, which `tensorboard --logdir` reads.

    Raises:
        TrackingError: TensorBoard is not installed, or the folder cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        module("tensorboard")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrackingError(f"TensorBoard: {folder} cannot be created or written to: {error.strerror}") from error
        self._folder, self._writer = folder, module("torch.utils.tensorboard").SummaryWriter
        self._open: Any = None

    def begin(self, name: str, config: Config, facts: Mapping[str, str]) -> None:
        """Opens an event file in `folder/name`."""
        self._open = self._writer(str(self._folder / name), purge_step=1)
        self._open.add_text("configuration", f"```\n{planfile.dump(config.document())}```")
        self._open.add_text("facts", "\n".join(f"* {fact}: {value}" for fact, value in facts.items()))
        settings = {path: _plain(value) for path, value in flat(config.document())} | dict(facts)
        summaries = module("torch.utils.tensorboard.summary").hparams(settings, dict.fromkeys(COMPARED, 0.0))
        for summary in summaries:
            self._open.file_writer.add_summary(summary)

    def _write(self, values: Sequence[tuple[str, float, int]]) -> None:
        for name, value, step in values:
            self._open.add_scalar(name, value, step)
        self._open.flush()

    def _close(self, finished: bool) -> None:
        if self._open is not None:
            self._open.close()


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float | str) else str(value)
