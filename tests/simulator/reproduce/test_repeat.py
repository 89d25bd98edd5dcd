import dataclasses
import io
import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from simulator.errors import ConfigError, RunsFailedError
from simulator.evaluation import ranking, statistics
from simulator.reproduce.experiments import EXPERIMENTS, Method
from simulator.reproduce.grid import Choice
from simulator.reproduce.repeat import Request, reproduce
from simulator.reproduce.results import summarise

# An adversary that diverges takes its run with it, and leaves the Original that it shares with `paper` alone.
EXPERIMENT = dataclasses.replace(
    EXPERIMENTS["ablation"],
    methods=[
        Method("paper", "paper"),
        Method("diverges", "paper", {"plan.server.adversary.learning_rate": 1e30, "plan.adversary.trigger": "global"}),
    ],
)
SETTINGS = {
    "data.users": 60,
    "data.items": 200,
    "engine.rounds": 4,
    "evaluation.evaluate_every": 2,
    "evaluation.attack_splits": 1,
}
CHOICE = Choice(["fedncf"], ["synthetic"], ["gender"], [0], None, SETTINGS)
TIMES = ["seconds", "cpu_ms", "peak_rss_mib"]


def request(folder, jobs=1, choice=CHOICE):
    return Request(EXPERIMENT, choice, folder, folder.parent, jobs, "fedau2-sim reproduce <ablation>")


def do(order):
    console = Console(record=True, width=80, file=io.StringIO())
    with pytest.raises(RunsFailedError, match=r"1 of 3 runs failed: .*diverge"):
        reproduce(order, console)
    return console.export_text()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A grid's folder, what it printed, and its report."""
    folder = tmp_path_factory.mktemp("reproduce") / "no[/markup]"
    return folder, do(request(folder)), (folder / "report.html").read_text()


def test_a_failed_run_is_told_and_the_others_are_there(done):
    folder, text, _ = done
    frame = pd.read_parquet(folder / "results.parquet").set_index("method")
    assert frame["status"].to_dict() == {"original": "done", "paper": "done", "diverges": "failed"}
    assert "lower the learning rates" in frame.loc["diverges", "error"]
    assert frame.loc["diverges"][["ndcg@10", "bacc_strong"]].isna().all()
    for method in ("original", "paper"):
        metrics = json.loads((folder / "runs" / frame.loc[method, "run"] / "metrics.json").read_text())
        assert frame.loc[method, "ndcg@10"] == metrics["ndcg@10"]
        assert frame.loc[method, "parameters_shared"] == metrics["parameters"]["shared"]
        assert frame.loc[method, "plan.adversary.epsilon"] == metrics["configuration"]["plan"]["adversary"]["epsilon"]
    assert frame.loc["paper", "trigger_rate_M"] > 0
    assert "1 failed" in text
    assert "no[/markup]/report.html" in "".join(text.split())
    assert "Nothing is compared" not in text


def test_users_are_compared_with_the_original_of_the_same_seed(done):
    folder = done[0]
    frame = pd.read_parquet(folder / "results.parquet").set_index("method")
    gains = [
        ranking.gains(
            pd.read_parquet(folder / "runs" / frame.loc[name, "run"] / "ranks.parquet")["rank"].to_numpy(), 10
        )
        for name in ("paper", "original")
    ]
    expected = statistics.over_users(*gains)
    paper = frame.loc["paper"]
    assert paper["ndcg@10_users_difference"] == pytest.approx(paper["ndcg@10"] - frame.loc["original", "ndcg@10"])
    assert (paper["ndcg@10_users_low"], paper["ndcg@10_users_p"]) == (expected.low, expected.p)
    losses = pd.read_parquet(folder / "runs" / paper["run"] / "rounds.parquet")["loss"]
    assert paper["loss_std"] == pytest.approx(np.std(losses, ddof=1))


@pytest.mark.slow
def test_the_result_does_not_depend_on_how_many_run_at_once(done, tmp_path):
    do(request(tmp_path, jobs=2))
    frames = [pd.read_parquet(each / "results.parquet").drop(columns=TIMES) for each in (done[0], tmp_path)]
    for frame, folder in zip(frames, (done[0], tmp_path), strict=True):
        frame.to_parquet(folder / "untimed.parquet")
    one, two = ((each / "untimed.parquet").read_bytes() for each in (done[0], tmp_path))
    assert one == two


def test_what_is_finished_is_taken_and_what_differs_refused(done):
    folder = done[0]
    path = next((folder / "runs").glob("*_paper_*/metrics.json"))
    before = path.stat().st_mtime_ns
    finished = dataclasses.replace(CHOICE, methods=["original", "paper"])
    console = Console(record=True, width=80, file=io.StringIO())
    reproduce(request(folder, choice=finished), console)
    assert "2 runs, of which 2 are finished" in console.export_text()
    assert path.stat().st_mtime_ns == before
    for methods, told in ((["paper"], True), (["original"], False)):
        console = Console(record=True, width=80, file=io.StringIO())
        reproduce(request(folder, choice=dataclasses.replace(CHOICE, methods=methods)), console)
        assert ("Nothing is compared without original in --method" in console.export_text()) is told
    other = dataclasses.replace(CHOICE, settings={**SETTINGS, "engine.rounds": 5})
    with pytest.raises(ConfigError, match="other settings") as refused:
        reproduce(request(folder, choice=other), Console(quiet=True))
    assert str(refused.value).count("fedncf_synthetic_gender_") == 3
    metrics = path.read_text()
    try:
        path.write_text(metrics.replace('"epsilon": 400.0', '"epsilon": 40.0'))
        with pytest.raises(ConfigError, match="another configuration"):
            reproduce(request(folder), Console(quiet=True))
        path.write_text(metrics[:100])
        with pytest.raises(ConfigError, match="damaged"):
            reproduce(request(folder), Console(quiet=True))
    finally:
        path.write_text(metrics)


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text, self.links = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_report_is_whole_and_on_its_own(done):
    folder, _, report = done
    for source, images in ((report, 2), (next((folder / "runs").glob("*_paper_*/report.html")).read_text(), 3)):
        page = Page(source)
        assert not page.open
        assert "script" not in page.tags
        assert "link" not in page.tags
        assert page.tags.count("img") == images
        assert any("--data-dir DATA_DIR" in each for each in page.text)
        assert str(folder.parent) not in source
        assert all(link.startswith("data:image/svg+xml;base64,PD94") for link in page.links)
    text = Page(report).text
    assert "fedau2-sim reproduce <ablation>" in text
    assert any("lower the learning rates" in each for each in text)
    assert any("--server.adversary.learning-rate 1e+30" in each for each in text)


def test_a_summary_pairs_seeds_with_their_originals():
    rng = np.random.default_rng(0)
    rows = []
    for seed, (base, gain) in enumerate(zip(rng.random(4), rng.random(4) / 10, strict=True)):
        common = {"model": "m", "dataset": "d", "attribute": "a", "status": "done"}
        rows.append({**common, "run": f"o{seed}", "method": "original", "original": "", "ndcg@10": base})
        rows.append({**common, "run": f"p{seed}", "method": "paper", "original": f"o{seed}", "ndcg@10": base + gain})
    more = {"bacc_strong": 0.6, "bacc_null_p95_strong": 0.5 + np.arange(8) / 100, "bacc_null_p95_paper": 0.9}
    frame = pd.DataFrame(rows).assign(**more, **{"ndcg@10_users_p": 0.01})
    summary = summarise(frame.sample(frac=1, random_state=1), ["ndcg@10", "bacc_strong"]).set_index("method")
    ours, theirs = (frame.loc[frame["method"] == name, "ndcg@10"].to_numpy() for name in ("paper", "original"))
    paper = summary.loc["paper"]
    assert paper["ndcg@10"] == pytest.approx(ours.mean())
    assert paper["ndcg@10_std"] == pytest.approx(ours.std(ddof=1))
    assert paper["ndcg@10_change"] == pytest.approx((ours - theirs).mean())
    assert paper["ndcg@10_p"] == pytest.approx(statistics.over_seeds(ours, theirs))
    assert paper["ndcg@10_relative"] == pytest.approx(ours.mean() / theirs.mean() - 1)
    assert (paper["bacc_strong_null"], paper["users"], paper["compared"]) == (pytest.approx(0.54), 4, 4)
    assert np.isnan(summary.loc["original", "ndcg@10_change"])


def test_a_folder_that_is_a_file_is_told_before_training(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="file cannot be written"):
        reproduce(request(tmp_path / "file"), Console(file=io.StringIO()))
