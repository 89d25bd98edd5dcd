"""How the sessions of a fleet's devices ended, and how long devices waited."""

import json
import os
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

from tests.durability.devices import Worker

_BROKEN = "BROKEN"
"""The end of a session that was not answered, or not to its end."""


@dataclass(frozen=True)
class Sessions:
    """What became of all sessions of a run.

    Attributes:
        ends: how many ended in which way.
        lost: devices whose last session broke.
        unanswered: longest time from the beginning of a broken session to the end of one that was answered, in seconds.
        waited: longest time from a device's first session of a round to its acknowledged upload, in seconds.
    """

    ends: Counter
    lost: int
    unanswered: float
    waited: float

    @classmethod
    def of(cls, fleet):
        """Counts the sessions that the workers of a fleet wrote down."""
        lives = defaultdict(list)
        for path in _folder(fleet).iterdir():
            for line in path.read_text().splitlines():
                device, *session = json.loads(line)
                lives[device].append(session)
        return cls(
            ends=Counter(end for life in lives.values() for _, _, end in life),
            lost=sum(life[-1][2] == _BROKEN for life in lives.values()),
            unanswered=max(
                _longest(life, lambda end: end == _BROKEN, lambda end: end != _BROKEN) for life in lives.values()
            ),
            waited=max(_longest(life, lambda end: True, lambda end: end == "UPLOADED") for life in lives.values()),
        )

    def __str__(self):
        ends = ", ".join(f"{count} {end.lower()}" for end, count in self.ends.most_common())
        return (
            f"{self.ends.total()} sessions: {ends}; {self.lost} devices lost; "
            f"unanswered for {self.unanswered:.1f} s and without an upload for {self.waited:.1f} s at most"
        )


def _longest(life, begins, ends):
    """The longest stretch of sessions from one whose end begins it to one whose end ends it, in seconds."""
    longest, first = 0.0, None
    for began, ended, end in life:
        if first is None and begins(end):
            first = began
        if first is not None and ends(end):
            longest, first = max(longest, ended - first), None
    return longest


class Watched(Worker):
    """A worker that writes down how each session ended."""

    def __init__(self, fleet, number, *others):
        super().__init__(fleet, number, *others)
        _folder(fleet).mkdir(exist_ok=True)
        self._notes = os.open(_folder(fleet) / f"{number}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def _session(self, device, gives_up=lambda: False):
        began = time.time()
        outcome = await super()._session(device, gives_up)
        line = [device, began, time.time(), _BROKEN if outcome is None else outcome.result.name]
        os.write(self._notes, json.dumps(line).encode() + b"\n")
        return outcome


def _folder(fleet):
    return fleet.folder / "sessions"
