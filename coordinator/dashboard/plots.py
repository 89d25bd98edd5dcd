"""The charts of a task's page."""

from collections.abc import Callable, Iterable, Sequence

from coordinator.dashboard.charts import Chart, Point, Text, lines, stacks
from fedau2.v1.admin_pb2 import Round, Task

_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def plots(task: Task, rounds: Sequence[Round]) -> list[Chart]:
    """Makes the charts: rounds over time, devices by outcome, norms of contributions, norm of the model."""
    return [_over_time(task, rounds), _outcomes(rounds), _contributions(rounds), _model(rounds)]


def _over_time(task: Task, rounds: Sequence[Round]) -> Chart:
    begun = task.created.ToMicroseconds()
    ends = [(past.committed.ToMicroseconds() - begun, past.round + 1) for past in rounds if past.HasField("committed")]
    longest = max((end for end, _ in ends), default=0) / 1e6
    length, unit = next(((length, unit) for length, unit in _UNITS if longest >= 2 * length), _UNITS[-1])
    points = [(end / 1e6 / length, float(number)) for end, number in ends]
    summary = "No round is committed yet."
    if points:
        summary = f"{ends[-1][1]} of {task.rounds} rounds were over {points[-1][0]:.3g} {unit} after the beginning."
    words = Text("time", "Rounds over time", summary, f"{unit} since the task was created", "rounds over")
    return lines(words, {"committed": points}, whole_up=True)


def _outcomes(rounds: Sequence[Round]) -> Chart:
    columns = {past.round: (past.reported, past.failed + past.expired, past.refused) for past in rounds}
    summary = "There is no round yet."
    if columns:
        number, (completed, dropped, refused) = max(columns.items())
        summary = f"Devices of round {number}: {completed} completed, {dropped} dropped, {refused} refused."
    words = Text("outcomes", "Devices by outcome", summary, "round", "devices")
    return stacks(words, ("completed", "dropped", "refused"), columns)


def _contributions(rounds: Sequence[Round]) -> Chart:
    median = _points(rounds, lambda past: past.norms.shared.median if past.norms.HasField("shared") else None)
    largest = _points(rounds, lambda past: past.norms.shared.largest if past.norms.HasField("shared") else None)
    summary = "The norms of single contributions are not known."
    if median:
        number, middle = median[-1]
        summary = f"In round {number:g} the median norm is {middle:.3g} and the largest {largest[-1][1]:.3g}."
    words = Text("contributions", "Norms of contributions", summary, "round", "L2 norm")
    return lines(words, {"largest": largest, "median": median}, whole_across=True)


def _model(rounds: Sequence[Round]) -> Chart:
    points = _points(rounds, lambda past: past.norms.model or None)
    summary = "The norm of the model is not known."
    if points:
        summary = f"After round {points[-1][0]:g} the norm of the model is {points[-1][1]:.3g}."
    words = Text("model", "Norm of the model", summary, "round", "L2 norm")
    return lines(words, {"model": points}, whole_across=True)


def _points(rounds: Iterable[Round], value: Callable[[Round], float | None]) -> list[Point]:
    """Returns a point for each round whose value is known."""
    known = ((float(past.round), value(past)) for past in rounds)
    return [(number, norm) for number, norm in known if norm is not None]
