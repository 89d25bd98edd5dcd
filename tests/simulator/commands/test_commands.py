"""The commands on finished runs, and what they print."""

import json
from pathlib import Path

import pytest

from client_sdk.kernel.models import RECOMMENDERS
from simulator.commands import cli
from simulator.engines.batched import BatchedEngine

SMALL = ["--dataset", "synthetic", "--users", "120", "--items", "200", "--rounds", "2", "--workers", "1"]
AUDIT = ["--attacks", "magnitude,private", "--participations", "1", "--clients", "10", "--splits", "1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run that kept its state."""
    folder = tmp_path_factory.mktemp("commands") / "run"
    line = ["run", "--out", str(folder), *SMALL, "--attack-splits", "1", "--attacks", "none", "--keep", "state"]
    assert cli.main(line) == 0
    return folder


def printed(capsys, *line):
    capsys.readouterr()
    assert cli.main([*map(str, line)]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("fewer")
def test_a_kept_run_recommends_and_is_attacked(run, capsys):
    items = printed(capsys, "recommend", run, "--user", "user-3", "--top", "4", "--json")
    assert [list(item) for item in items] == [["item", "score", "held_out"]] * 4
    assert cli.main(["recommend", str(run), "--user", "user-3"]) == 0
    assert items[0]["item"] in capsys.readouterr().out
    metrics = printed(capsys, "attack", run, "--attacks", "quick", "--json")
    assert metrics == json.loads((run / "metrics.json").read_text())
    assert metrics["attacks"]["missing"] == []


@pytest.mark.usefixtures("fewer")
def test_a_kept_run_is_audited_without_training_as_if_it_were_trained_again(run, tmp_path, monkeypatch, capsys):
    assert cli.main(["audit", str(run / "config.yaml"), "--out", str(tmp_path / "a"), *AUDIT]) == 0

    def never(engine, members):
        raise AssertionError("the run is trained again")

    monkeypatch.setattr(BatchedEngine, "train_round", never)
    kept = printed(capsys, "audit", run, "--out", tmp_path / "b", *AUDIT, "--json")
    trained, written = (json.loads((tmp_path / name / "audit.json").read_text()) for name in "ab")
    assert kept == written
    for entry in (*trained["findings"], *kept["findings"]):
        del entry["seconds"]
    assert kept["findings"] == trained["findings"]
    assert (kept["ndcg@10"], kept["round"]) == (trained["ndcg@10"], trained["round"])
    with pytest.raises(AssertionError, match="trained again"):
        cli.main(["audit", str(run), "--out", str(tmp_path / "c"), *AUDIT, "--seed", "1"])


def test_a_quiet_command_prints_what_json_asks_for_and_nothing_else(tmp_path, capfd):
    line = ["run", *SMALL, "--attacks", "none"]
    assert cli.main([*line, "-q", "--out", str(tmp_path / "a")]) == 0
    assert capfd.readouterr() == ("", "")
    assert cli.main([*line, "--quiet", "--json", "--out", str(tmp_path / "b")]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["round"] >= 0
    assert err == ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([], {"run", "sweep", "audit"}),
        (["run"], {"--out", "--preset", "--quiet", "--plugin"}),
        (["run", "--out", "x", "--preset"], {"paper", "recommended"}),
        (["list"], {"models", "--json"}),
        (["nothing"], set()),
    ],
)
def test_a_shell_completes_what_may_come_next(capsys, line, words):
    assert cli.main(["completion", "words", "--", *line]) == 0
    assert words <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize("what", ["models", "presets", "attacks", "datasets"])
def test_names_are_listed(capsys, what):
    rows = printed(capsys, "list", what, "--json")
    assert all(rows[0].keys() == row.keys() for row in rows)
    assert cli.main(["list", what]) == 0
    text = "".join(capsys.readouterr().out.split())
    assert all("".join(next(iter(row.values())).split()) in text for row in rows)


def test_every_name_of_the_lists_is_taken(capsys):
    from simulator.config.config import Config
    from simulator.config.presets import preset

    for row in printed(capsys, "list", "presets", "--json"):
        assert Config.of({"plan.model.name": row["model"]}, preset(row["preset"], row["model"]))
    assert {row["model"] for row in printed(capsys, "list", "models", "--json")} == set(RECOMMENDERS)


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        (["recommend", "{}", "--user", "3"], 1, "is not the folder of a run"),
        (["attack", "{}"], 1, "is not the folder of a run"),
        (["recommen"], 2, "did you mean 'recommend'?"),
        (["run", "--out", "{}/x", "--roundz", "3"], 2, "did you mean '--rounds'?"),
        (["run", "--out", "{}/x", "--preset", "papre"], 2, "did you mean 'paper'?"),
        (["run", "--out", "{}/x", "--model", "fednfc"], 1, "did you mean 'fedncf'?"),
        (["run", "--out", "{}/x", "--dataset", "ml-100"], 1, "did you mean 'ml-100k'?"),
        (["run", "--out", "{}/x", "--dataset", "synthetic", "--attributes", "gendre"], 1, "did you mean 'gender'?"),
        (["audit", "--dataset", "synthetic", "--out", "{}/x", "--attacks", "dlgg"], 1, "did you mean 'dlg'?"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path, capsys, monkeypatch, line, status, words):
    monkeypatch.delenv("FEDAU2_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        ended = cli.main([word.format(tmp_path) for word in line])
    except SystemExit as error:
        ended = error.code
    assert ended == status
    text = capsys.readouterr().err
    assert words in text
    assert text.splitlines()[-1].startswith("fedau2-sim")
    assert not Path(tmp_path / "x").exists()
