"""A run's plan and its engine agree on buffered rounds."""

import pytest

from simulator.config.config import Config
from simulator.errors import ConfigError
from simulator.experiment import buffered

FLEET = {"engine.name": "fleet", "engine.rounds": 1, "plan.model.name": "fedncf"}
LATE = {"plan.server.most_stale": 3}


def expect(cohort=60, **settings):
    config = Config.of({**FLEET, **settings})
    buffered.expect(config.engine, config.plan, cohort)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"engine.buffer": 5}, "set server.most_stale above 0"),
        (LATE, "set engine.name to fleet, and engine.buffer"),
        ({**LATE, "engine.name": "batched"}, "set engine.name to fleet"),
        ({**LATE, "engine.buffer": 1}, "it lies between 2 and 60"),
        ({**LATE, "engine.buffer": 61}, "it lies between 2 and 60"),
        ({"engine.slow": 0.1}, "slow has no effect without buffer"),
        ({**LATE, "engine.name": "batched", "engine.buffer": 5}, "buffer is for a fleet"),
    ],
)
def test_what_does_not_agree_is_refused(settings, why):
    with pytest.raises(ConfigError, match=why):
        expect(**settings)


@pytest.mark.parametrize("buffer", [2, 30, 60])
def test_a_buffer_may_have_any_part_of_the_cohort(buffer):
    expect(**LATE, **{"engine.buffer": buffer, "engine.slow": 0.1})
    expect()
