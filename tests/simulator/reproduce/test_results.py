"""Rows of runs are a table that can be kept, whatever recommenders the runs have."""

from client_sdk.kernel.models import RECOMMENDERS
from simulator.config.config import Config
from simulator.reporting import frames
from simulator.reproduce.grid import Cell
from simulator.reproduce.results import collect


def test_settings_that_are_numbers_of_one_recommender_and_lists_of_another_are_kept(tmp_path):
    cells = [Cell(name, Config.of({"plan.model.name": name})) for name in RECOMMENDERS]
    frame = collect(cells, {}, {cell.name: "stopped" for cell in cells}, tmp_path)
    frames.write(frame, tmp_path / "results.parquet")
    kept = frames.read(tmp_path / "results.parquet").set_index("model")
    assert kept.loc[["fedncf", "fedvae"], "plan.model.hidden"].tolist() == ["128,64,32", "600"]
    assert kept.loc["fedrap", "plan.model.latent"] == 32
