"""From a simulation to a signed task that devices train on: two commands, a real coordinator and real devices."""

import numpy as np
import pytest

from client_sdk import FedClient, Result, testing
from client_sdk.errors import UntrustedTaskError
from export import cli as export
from simulator.commands import cli as simulator

SMALL = ["--dataset", "synthetic", "--users", "60", "--items", "200", "--rounds", "3", "--attacks", "none"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run's bundle, signed, and the publisher's keys."""
    folder = tmp_path_factory.mktemp("from-run")
    assert simulator.main(["run", *SMALL, "--quiet", "--out", str(folder / "run")]) == 0
    for name in ("publisher", "stranger"):
        assert export.main(["keygen", str(folder / name)]) == 0
    line = ["bundle", "--from", str(folder / "run"), "--seed", "1", "--population", "shoppers"]
    line += ["--key", str(folder / "publisher.key")]
    assert export.main([*line, "--out", str(folder / "bundle")]) == 0
    return folder


def test_devices_that_trust_the_publisher_train_the_model_of_the_run(folder, tmp_path):
    trusted = [(folder / "publisher.pub").read_bytes()]
    with testing.LocalCoordinator(bundle=folder / "bundle", rounds=1, goal=2) as server:
        devices = [
            FedClient.open(tmp_path / str(number), server.address, server.population, publishers=trusted)
            for number in range(2)
        ]
        for number, device in enumerate(devices):
            for item in range(number, number + 12):
                device.record(f"item-{item}")
            device.set_attribute("gender", "F")
        assert [device.sync().result for device in devices] == [Result.UPLOADED] * 2
        server.wait_for_round(1)
        scores = [entry.score for entry in devices[0].recommend(k=5)]
        assert len(scores) == 5
        assert np.isfinite(scores).all()
        for device in devices:
            device.close()
        stranger = [(folder / "stranger.pub").read_bytes()]
        other = FedClient.open(tmp_path / "other", server.address, server.population, publishers=stranger)
        other.record("item-1")
        with pytest.raises(UntrustedTaskError):
            other.sync()
        other.close()


def test_a_key_that_cannot_sign_is_refused_before_anything_is_built(folder, tmp_path, capsys):
    line = ["bundle", "--from", str(folder / "run"), "--seed", "1", "--population", "shoppers"]
    line += ["--key", str(folder / "publisher.pub")]
    assert export.main([*line, "--out", str(tmp_path / "bundle")]) == 1
    assert "holds no private key" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()
