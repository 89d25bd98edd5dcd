"""`fedau2-sim bench --workers` compares threads that do the same work."""

import json

import numpy as np
import pytest

from simulator.bench import engines, workers
from simulator.commands import cli

CLIENTS, ITEMS = 120, 60


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return [np.sort(rng.choice(ITEMS, 8, replace=False)) for _ in range(CLIENTS)], rng.integers(0, 2, CLIENTS), ITEMS


def test_each_cohort_is_measured_with_at_most_all_clients(data):
    gains = workers.measure("fedncf", "torch", data, 2, 3)
    assert [gain.cohort for gain in gains] == [94, CLIENTS]
    for gain in gains:
        assert 0 < gain.low <= gain.gain <= gain.high
        assert min(gain.seconds, gain.cpu) > 0


def test_threads_train_the_same_model_as_one(data):
    interactions, labels, items = data
    checkpoints = []
    for number in (1, 3):
        bundle, population = engines.population_of(interactions, [engines.CLASSES[row] for row in labels], items)
        engine = engines.engine_of(bundle, population, workers=number)
        engine.train_round(np.arange(CLIENTS))
        checkpoints.append({name: value.tobytes() for name, value in engine.checkpoint.items()})
    assert checkpoints[0] == checkpoints[1]


def test_two_measurements_at_once_are_refused(capsys):
    assert cli.main(["bench", "--workers", "2", "--fleet", "70"]) == 1
    assert "give one of them" in capsys.readouterr().err


def test_the_gains_are_written(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "MODELS", ("fedvae",))
    monkeypatch.setattr(workers, "COHORTS", (2,))
    out = tmp_path / "gains.json"
    assert cli.main(["bench", "--workers", "2", "--quick", "--out", str(out), "--data-dir", str(tmp_path)]) == 0
    assert {row["model"] for row in json.loads(out.read_text())} == {"fedvae"}
