"""Names are printed as they are, whatever they look like."""

import io

import pytest
from rich.console import Console

from simulator.reporting import terminal

NAMES = ["jj[/b]", "[red]jj"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_not_markup(name):
    console = Console(width=200, file=io.StringIO())
    runs = {name: {f"{name}/bacc_strong": 0.5, "round": 1}}
    console.print(terminal.results(runs, f"title {name}"))
    text = console.file.getvalue()
    assert all(part in text for part in (f"title {name}", f"{name} ┃", f"{name}: BAcc"))


@pytest.mark.parametrize("name", NAMES)
def test_a_bar_has_any_name(name):
    console = Console(width=200, file=io.StringIO(), force_terminal=True)
    with terminal.bars(console) as display:
        bar = terminal.Bar(display, name)
        bar.start("training", 1)
        bar.advance(name)
    assert console.file.getvalue().count(name) > 1


def test_further_attributes_are_in_the_order_of_the_run():
    run = {f"{name}bacc_strong": 0.5 for name in ("", "z/", "a/")}
    assert [key for _, key, _ in terminal.rows_of([run])] == ["bacc_strong", "z/bacc_strong", "a/bacc_strong"]
