"""What both engines ask of a plan."""

import numpy as np
import pytest

from export.bundle import build
from fedau2.wire import blobs
from simulator.engines.batched import BatchedEngine
from simulator.engines.fleet import FleetEngine
from simulator.engines.links import InProcessLink
from simulator.errors import ConfigError
from simulator.population.population import Population
from tests import plans


def test_cohorts_drawn_anew_in_each_round_do_not_go_with_a_minimum_separation(tmp_path):
    bundle = build("fedncf", ["1", "2", "3"], plans.make(minimum_separation=2), 0)
    population = Population.create(bundle.manifest, 0, [np.array([0])], {})
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    with pytest.raises(ConfigError, match=r"2 rounds apart.*set minimum_separation to 1"):
        BatchedEngine(bundle.manifest, checkpoint, population)
    with pytest.raises(ConfigError, match="2 rounds apart"):
        FleetEngine.start(lambda: InProcessLink.open(tmp_path), bundle, population, 1, 1)
