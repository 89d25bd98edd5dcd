"""The page of a run that goes on."""

import pytest

from simulator.reporting.live import Live
from tests.simulator.quiet import Quiet
from tests.simulator.settings import make

ROWS = [{"round": 1, "loss": 0.5}, {"round": 2, "loss": 0.4, "hr@10": 0.2, "ndcg@10": 0.1}]


@pytest.fixture
def live(tmp_path):
    page = Live(tmp_path, Quiet())
    page.begin("it", make(), {})
    return page


def text(folder):
    return (folder / "live.html").read_text()


def test_a_page_is_loaded_again_while_the_run_goes_on_and_shows_how_far_it_is(live, tmp_path, monkeypatch):
    monkeypatch.setattr("simulator.reporting.live._EVERY", 0)
    live.start("training", 10, 3)
    live.advance("best NDCG@10 0.100")
    page = text(tmp_path)
    assert 'http-equiv="refresh"' in page
    assert "training, 4 of 10. best NDCG@10 0.100" in page
    assert '<progress value="4" max="10">' in page
    live.rounds(ROWS)
    assert "data:image/svg+xml;base64," in text(tmp_path)
    assert "<td>loss</td><td>0.4</td>" in text(tmp_path)


def test_the_page_is_not_written_for_every_part(live, tmp_path):
    live.start("training", 10)
    before = text(tmp_path)
    live.advance("soon")
    assert text(tmp_path) == before


def test_the_page_leads_to_the_report_when_the_run_ends_and_stands_still_when_it_is_interrupted(live, tmp_path):
    with live:
        live.end({}, live._folder)
    assert 'content="0; url=report.html"' in text(tmp_path)
    stopped = Live(tmp_path, Quiet())
    stopped.begin("it", make(), {})
    with pytest.raises(KeyboardInterrupt), stopped:
        raise KeyboardInterrupt
    assert "interrupted" in text(tmp_path)
    assert 'http-equiv="refresh"' not in text(tmp_path)


def test_a_run_that_never_had_a_folder_has_no_page(tmp_path):
    with Live(tmp_path / "nowhere", Quiet()):
        pass
    assert not (tmp_path / "nowhere").exists()
