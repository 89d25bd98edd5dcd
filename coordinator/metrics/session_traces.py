"""Traces of sessions: the course of a device's session as a short string (Bonawitz et al., arXiv 1902.01046, section 5,
where they are called session shapes).

A trace has a letter for each step: `a` assigned (`r`: before the last restart), `u` upload begun, `!` upload cut off or
refused. Its last letter is the end: `+` acknowledged, `f` given back, `x` expired, `c` the round closed without it.
"""

from collections.abc import Collection, Iterable

from coordinator.model.effects import Assigned, Effect, Expired, Failed, Reported

_ENDS: dict[type[Effect], str] = {Reported: "+", Failed: "f", Expired: "x"}
_LONGEST = 8
"""Most steps in a trace. Traces with still more uploads of one lease look alike."""


class SessionTraces:
    """The sessions that are under way, by task and assignment. They hold nothing about a device."""

    def __init__(self) -> None:
        self._open: dict[str, dict[bytes, str]] = {}

    def follow(self, task_id: str, effect: Effect) -> str | None:
        """Notes an effect.

        Returns:
            The session's trace, if the effect ends the session.
        """
        sessions = self._open.setdefault(task_id, {})
        if isinstance(effect, Assigned):
            sessions[effect.assignment_id] = "a"
        elif isinstance(effect, Reported | Failed | Expired):
            return sessions.pop(effect.assignment_id, "r") + _ENDS[type(effect)]
        return None

    def step(self, task_id: str, assignment_id: bytes, letter: str) -> None:
        """Notes a step of a session that goes on. A step of a session that has ended meanwhile is ignored."""
        sessions = self._open.get(task_id, {})
        if (trace := sessions.get(assignment_id)) is not None and len(trace) < _LONGEST:
            sessions[assignment_id] = trace + letter

    def resume(self, task_id: str, assignment_ids: Iterable[bytes]) -> None:
        """Notes the sessions that were under way before a restart."""
        self._open.setdefault(task_id, {}).update(dict.fromkeys(assignment_ids, "r"))

    def close(self, task_id: str, outliving: Collection[bytes] = ()) -> list[str]:
        """Ends a round, and returns the traces of the sessions that were under way and do not outlive it."""
        sessions = self._open.pop(task_id, {})
        if kept := {key: sessions.pop(key) for key in outliving if key in sessions}:
            self._open[task_id] = kept
        return [trace + "c" for trace in sessions.values()]
