"""The demo without its data set."""

import json

import pytest

from fedau2.wire.secure import policy
from simulator.commands import demo
from simulator.commands.cli import main
from simulator.experiment.assembly import cohort_size


def test_cohorts_of_the_other_data_set_are_enough_for_secure_sums():
    secure = demo._configs("synthetic")[demo.SECURE]
    assert cohort_size(secure.engine, secure.data.users) >= policy.LEAST_MINIMUM


@pytest.mark.slow
def test_it_runs_on_the_other_data_set_where_movielens_cannot_be_had(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "ROUNDS", 4)
    monkeypatch.setattr(demo, "SECURE_ROUNDS", 2)
    (tmp_path / "nothing").mkdir()
    assert main(["demo", "--data-dir", str(tmp_path / "nothing"), "--out", str(tmp_path / "demo")]) == 0
    assert "goes on with the synthetic data set" in " ".join(capsys.readouterr().out.split())
    runs = {path.parent.name for path in (tmp_path / "demo").glob("*/metrics.json")}
    assert len(runs) == len(demo.PRESETS) + 1
    hidden = json.loads((demo._folder(tmp_path / "demo", demo.SECURE) / "metrics.json").read_text())
    assert hidden["configuration"]["engine"]["sums"] == "secure"
