"""The tracker `lines`: writes each number as a line of JSON to the file that `--tracker lines=FILE` names."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from simulator.config.config import Config
from simulator.reporting.trackers.contract import Tracker


class Lines(Tracker):
    """Adds lines to a file.

    Args:
        target: the file.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self._file = Path(target).open("a", encoding="utf-8")  # noqa: SIM115 - it is closed with the run

    def begin(self, name: str, config: Config, facts: Mapping[str, str]) -> None:
        """Writes the run's name, and where its code and data come from."""
        self._line({"run": name, **facts})

    def _write(self, values: Sequence[tuple[str, float, int]]) -> None:
        for name, value, round_number in values:
            self._line({"name": name, "value": value, "round": round_number})

    def _line(self, content: Mapping[str, object]) -> None:
        self._file.write(f"{json.dumps(content)}\n")
        self._file.flush()

    def _close(self, finished: bool) -> None:
        self._file.close()
