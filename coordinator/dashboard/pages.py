"""The pages as HTML, of the templates beside this module."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from coordinator.dashboard import charts, view
from coordinator.dashboard.counters import Counters
from coordinator.dashboard.view import TaskView
from fedau2.v1.admin_pb2 import Task

Part = Markup
"""A part of a page. Text that is not one is escaped wherever it stands."""

NEWEST = 20
"""Most rounds of a table."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "lasted": view.lasted,
    "moment": view.moment,
    "round_state": view.round_state,
    "size": view.size,
    "task_state": view.task_state,
}
_TEMPLATES.globals |= {"frame": charts, "newest": NEWEST}


def tasks(shown: Sequence[Task]) -> Part:
    """Returns the parts of the page of all tasks."""
    return _rendered("tasks.html", tasks=shown)


def task(shown: TaskView, counters: Counters | None, token: str) -> Part:
    """Returns the parts of a task's page.

    Args:
        shown: the task.
        counters: of the coordinator; None: they are not shown.
        token: of forms; empty: the visitor may change nothing.
    """
    return _rendered("task.html", view=shown, counters=counters, token=token)


def problem(text: str) -> Part:
    """Returns the part that says why the others are not up to date."""
    return _rendered("problem.html", text=text)


def page(title: str, parts: Part, live: str = "", notice: str = "") -> str:
    """Returns a whole page.

    Args:
        title: as text.
        parts: the page's own.
        live: path of the events that keep them up to date; empty: nothing does.
        notice: a text that stands above the parts.
    """
    return _rendered("page.html", title=title, parts=parts, live=live, notice=notice)


def stop(task_id: str, token: str) -> Part:
    """Returns the question whether a task shall be stopped."""
    return _rendered("stop.html", task_id=task_id, token=token)


def _rendered(name: str, **values: Any) -> Part:  # noqa: ANN401
    context: Mapping[str, Any] = values
    return Part(_TEMPLATES.get_template(name).render(context))
