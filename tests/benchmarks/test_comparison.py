import ast
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import figure, measure, page, peers, tables, work
from benchmarks.comparison import ROUNDS, Figures
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Window
from benchmarks.uploads import Uploads
from benchmarks.work import COHORT, ITEMS, Work
from simulator.bench.naive import FedNCF

POSITIVE = st.floats(0.01, 1e5)
WINDOWS = st.builds(
    Window, st.sampled_from(list(ROUNDS)), st.sampled_from([943, 10_000]), st.integers(1, 9), *[POSITIVE] * 5
)
FIGURES = st.builds(
    Figures,
    st.just({"cores": 2}),
    st.lists(st.lists(WINDOWS, max_size=4), max_size=3),
    st.lists(WINDOWS, max_size=4),
    st.lists(st.builds(Uploads, st.sampled_from("ab"), st.integers(1, 9), POSITIVE), max_size=3),
    st.just({"pfl": "no wheel"}),
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    file = tmp_path_factory.mktemp("work") / "items.npy"
    work.write(file, 200)
    return Work(file, 200, 2)


def test_users_have_as_many_items_as_those_of_movielens(small, monkeypatch):
    items = small.items()
    counts = [len(rows) for rows in items]
    assert len(counts) == 200
    assert min(counts) >= 20
    assert 85 < np.mean(counts) < 125
    assert all((np.diff(rows) > 0).all() and rows[0] >= 0 and rows[-1] < ITEMS for rows in items)
    assert all(len(set(members)) == COHORT for members in small.cohorts())
    monkeypatch.setenv(work.VARIABLE, small.text())
    assert Work.of_environment() == small


def test_a_system_is_measured_with_all_that_it_starts(small):
    window = measure.run("loop", peers.ours(), small, 300)
    assert (window.system, window.users, window.rounds) == ("loop", 200, 1)
    assert min(window.cpu_ms, window.wall_s, window.first_s, window.first_cpu_s) > 0
    assert window.peak_mib > 50


def test_a_system_that_fails_says_why(small):
    with pytest.raises(BenchmarkError, match=r"absent with 200 users ended after 0 rounds: (.|\n)*KeyError: 'absent'"):
        measure.run("absent", peers.ours(), small, 300)


def test_a_framework_that_cannot_be_installed_says_why():
    with pytest.raises(BenchmarkError, match="failed: no matching distribution"):
        peers._call([sys.executable, "-c", "import sys; sys.exit('no matching distribution')"])


@settings(deadline=None)
@given(FIGURES)
def test_figures_survive_the_file_and_fill_the_tables(tmp_path_factory, figures):
    file = tmp_path_factory.mktemp("figures") / "figures.json"
    figures.write(file)
    assert Figures.read(file) == figures
    written = tables.all_tables(figures)
    systems = {window.system for cycle in figures.cycles for window in cycle}
    assert all(f"| {tables.NAMES[system]} |" in written for system in systems)
    widths = [{line.count("|") for line in table.split("\n")} for table in written.strip().split("\n\n")]
    assert all(len(width) == 1 for width in widths)


def test_the_page_has_the_figures_of_the_file(tmp_path):
    figures, text = Figures.read(page.FIGURES), page.PAGE.read_text("utf-8")
    assert page.updated(text, figures) == text
    assert figures.cycles
    figure.draw(figures, tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").stat().st_size > 1000


def test_flowers_server_moves_tensors_of_fedncfs_shapes():
    tree = ast.parse((peers.ROOT / "benchmarks" / "superlink" / "echo" / "server.py").read_text("utf-8"))
    (shapes,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "_SHAPES"
    ]
    assert sorted(shapes) == sorted(tuple(tensor.shape) for tensor in FedNCF(ITEMS).parameters())
