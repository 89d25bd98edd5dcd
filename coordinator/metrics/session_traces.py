"""Session shapes: what became of a device's session, as a short string (Bonawitz et al., arXiv 1902.01046, section 5).

A letter for each step: `a` assigned (`r`: before the last restart), `u` upload begun, `!` upload cut off or refused;
and how it ended: `+` acknowledged, `f` given back, `x` expired, `c` the round closed without it.
"""

from collections.abc import Iterable

from coordinator.model.effects import Assigned, Effect, Expired, Failed, Reported

_ENDS: dict[type[Effect], str] = {Reported: "+", Failed: "f", Expired: "x"}
_LONGEST = 8
"""Steps that are kept; more uploads of one lease look alike."""


class Shapes:
    """The sessions that are under way, by task and assignment; nothing of a device is in them."""

    def __init__(self) -> None:
        self._open: dict[str, dict[bytes, str]] = {}

    def follow(self, task_id: str, effect: Effect) -> str | None:
        """Takes note of an effect.

        Returns:
            The session's shape, where the effect ends it.
        """
        sessions = self._open.setdefault(task_id, {})
        if isinstance(effect, Assigned):
            sessions[effect.assignment_id] = "a"
        elif isinstance(effect, Reported | Failed | Expired):
            return sessions.pop(effect.assignment_id, "r") + _ENDS[type(effect)]
        return None

    def step(self, task_id: str, assignment_id: bytes, letter: str) -> None:
        """Takes note of a step of a session that goes on; of one that has ended meanwhile, of nothing."""
        sessions = self._open.get(task_id, {})
        if (shape := sessions.get(assignment_id)) is not None and len(shape) < _LONGEST:
            sessions[assignment_id] = shape + letter

    def resume(self, task_id: str, assignment_ids: Iterable[bytes]) -> None:
        """Takes note of sessions that were under way before a restart."""
        self._open.setdefault(task_id, {}).update(dict.fromkeys(assignment_ids, "r"))

    def close(self, task_id: str) -> list[str]:
        """The round is over: the shapes of the sessions that it closed on."""
        return [shape + "c" for shape in self._open.pop(task_id, {}).values()]
