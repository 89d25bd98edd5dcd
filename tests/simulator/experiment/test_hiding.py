"""Runs whose contributions are integers: where their policy comes from, and what is refused."""

import pytest

from export import sums
from simulator.commands.cli import main
from simulator.errors import ConfigError
from simulator.experiment import calibration, hiding
from simulator.experiment.train import train
from tests.simulator.quiet import Quiet
from tests.simulator.runs import SMALL
from tests.simulator.settings import change, make

GRID = change(SMALL, users=70, fraction=1.0, rounds=2, head="none", sums="grid")


def test_a_run_measures_a_policy_once_and_trains_with_it(tmp_path, monkeypatch):
    trained = train(GRID, tmp_path, None, Quiet())
    policy = sums.read(tmp_path / sums.FILE)
    assert trained.bundle.manifest.secure_sums == policy.message()
    assert (policy.minimum, policy.row_threshold) == (70, 10)
    assert not list(tmp_path.glob("calibration-*"))
    monkeypatch.setattr(hiding, "calibrate", lambda *_: pytest.fail("it measured again"))
    again = train(GRID, tmp_path, None, Quiet())
    assert again.bundle.manifest == trained.bundle.manifest


def test_a_cohort_in_which_a_device_is_not_lost_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(hiding, "calibrate", lambda *_: pytest.fail("it measured"))
    with pytest.raises(ConfigError, match="64 to 65,536 contributions, and a cohort has 60"):
        train(change(GRID, users=60), tmp_path, None, Quiet())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"engine": "fleet"}, "batched engine only"),
        ({"clip_norm": 1.0}, "clip_norm to 0"),
        ({"apm": 1.0}, "engine.sums to plain"),
    ],
)
def test_what_cannot_be_added_up_is_refused(settings, text):
    with pytest.raises(ConfigError, match=text):
        make(sums="grid", **settings)


def test_a_tensor_that_nobody_sends_has_a_grid_all_the_same():
    grid = calibration.Sizes([[0.0]], [[0.0]]).grid(10, 2**13 - 1)
    assert (grid.exponent, grid.clip) == (0, 2**13 - 1)


def test_the_clip_is_the_quantile_of_the_round_in_which_it_is_largest():
    sizes = calibration.Sizes([[1.0] * 4, [4.0, 4.0, 4.0, 100.0]], [[1.0] * 4, [2.0, 2.0, 2.0, 50.0]])
    assert sizes.clip() == 28.0
    grid = sizes.grid(10**6, 2**13 - 1)
    assert 2**grid.exponent * 14 <= 2**13 - 1 < 2 ** (grid.exponent + 1) * 14
    assert grid.clip == int(28 * 2**grid.exponent)


def test_the_command_prints_norms_and_writes_a_policy(tmp_path, capsys):
    data = ["--dataset", "synthetic", "--users", "70", "--items", "200", "--rounds", "2", "--fraction", "1"]
    assert main(["calibrate", "--out", str(tmp_path), "--adversaries", "none", *data]) == 0
    said = capsys.readouterr().out
    assert sums.read(tmp_path / sums.FILE).minimum == 70
    assert "item_gmf" in said
    assert "secure sums: 70 devices" in " ".join(said.split())
    assert [path.name for path in tmp_path.iterdir()] == [sums.FILE]
    assert main(["calibrate", "--out", str(tmp_path), "--adversaries", "none", *data, "--users", "60"]) == 1
    assert "a cohort has 60" in " ".join(capsys.readouterr().err.split())
