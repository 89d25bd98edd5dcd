"""The report of a run, and the command in it."""

import os
import shlex
from pathlib import Path

import pytest

from simulator.commands import cli
from simulator.config import flags
from simulator.reporting import html, run_report
from tests.simulator.runs import SMALL
from tests.simulator.settings import make


@pytest.mark.parametrize(
    ("folder", "out"), [("runs/a b", "runs/a b"), ("a", "a"), ("/home/me/runs/a", "a"), ("../a", "../a")]
)
def test_the_command_repeats_the_run_and_shows_no_path_of_the_machine(folder, out):
    words = shlex.split(html.command(SMALL, Path(folder), Path("/home/me/data")))
    options = cli._parser(words[1:]).parse_args(words[1:])
    assert flags.configuration(options, None) == SMALL
    assert (options.out, options.data_dir) == (Path(out), Path("DATA_DIR"))
    assert "--data-dir" not in html.command(SMALL, Path(folder), None)


def write(folder, remarks=(), metrics=None, **settings):
    """Writes the report of a run with few metrics, each of whose images differs."""
    config = make(**settings)
    (folder / "groups.png").write_bytes(b"")
    for number, name in enumerate(("learning.png", "leakage.png", *(f"leakage-{name}.png" for name in "cab"))):
        (folder / name).write_bytes(bytes([number] * 3))
    run_report.write(config, folder, None, {"configuration": config.document(), "round": 7, **(metrics or {})}, remarks)
    return (folder / "report.html").read_text()


def test_pictures_are_of_the_attributes_in_their_order(tmp_path):
    text = write(tmp_path, attributes=["z", "c", "a"])
    parts = ["AAAA", "<h2>Attacks on z</h2>", "AQEB", "<h2>Attacks on c</h2>", "AgIC", "<h2>Attacks on a</h2>", "AwMD"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "BAQE" not in text


def test_the_report_says_that_a_round_was_chosen_on_the_test_items(tmp_path):
    assert "the best validation NDCG@10, after round 7." in write(tmp_path)
    text = write(tmp_path, split="paper")
    assert "the best test NDCG@10, after round 7. The split paper has no validation items" in text
    assert "best validation" not in text


def test_the_report_says_how_many_users_are_attacked(tmp_path):
    text = write(tmp_path, attributes=["z", "c"], metrics={"attacked_users": 20000, "c/attacked_users": 900})
    assert "The attribute attacks are on 20,000 users for z, 900 users for c: a random sample, where" in text
    assert "attacks are on" not in write(tmp_path)


def test_the_report_says_how_the_data_was_read(tmp_path):
    remarks = ["the order of lines stands for time", "'<zip>' cannot be an attribute: it has 60 different values"]
    text = write(tmp_path, remarks=remarks)
    assert "<h2>How the data was read</h2>" in text
    assert "<li>the order of lines stands for time</li>" in text
    assert "<li>&#39;&lt;zip&gt;&#39; cannot" in text
    assert "How the data was read" not in write(tmp_path)


def test_a_page_is_written_in_utf8_even_where_a_name_holds_bytes_that_are_no_text(tmp_path):
    html.write(tmp_path / "page.html", "größe", [html.code(os.fsdecode(b"caf\xe9 \xc3\xa9"))])
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<title>größe</title>" in page
    assert "caf\\udce9 é" in page


HOSTILE = "<script>alert('it')</script>\"&"


def test_text_is_escaped_wherever_it_stands(tmp_path):
    (tmp_path / "it.png").write_bytes(b"png")
    inner = [html.heading(HOSTILE), html.code(HOSTILE), html.items([HOSTILE]), html.table([HOSTILE], [[HOSTILE]])]
    parts = [
        *inner,
        html.paragraph(HOSTILE, lead=True),
        html.details(HOSTILE, HOSTILE, *inner),
        html.image(tmp_path / "it.png", HOSTILE),
        html.links({HOSTILE: HOSTILE}),
        html.bar(HOSTILE, 1, 2),
        HOSTILE,  # text that no function has made a part of
    ]
    html.write(tmp_path / "page.html", HOSTILE, parts)
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 19
    assert "&amp;lt;" not in page  # nothing is escaped twice


def test_a_page_asks_no_other_host_and_forbids_it_and_an_svg_goes_before_a_png(tmp_path):
    (tmp_path / "it.png").write_bytes(b"png")
    html.write(tmp_path / "page.html", "it", [html.image(tmp_path / "it.png", "it")])
    page = (tmp_path / "page.html").read_text()
    assert "data:image/png;base64,cG5n" in page
    assert "default-src 'none'; img-src data:" in page
    assert "//" not in page.replace("<!--", "")
    assert "refresh" not in page
    (tmp_path / "it.svg").write_bytes(b"svg")
    assert "data:image/svg+xml;base64,c3Zn" in html.image(tmp_path / "it.png", "it")


def test_the_best_cell_is_marked_and_no_other():
    table = html.table(["a", "b"], [["x", 1], ["y", 2]], best={(1, 1)})
    assert table.count("best") == 1
    assert '<td>y</td><td class="best">2</td>' in table
