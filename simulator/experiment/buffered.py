"""The settings of runs with buffered rounds must fit together."""

from export.plan.schema import Plan
from fedau2.wire.plans import MAX_OVER_SELECTION
from simulator.config.sections import EngineSettings
from simulator.errors import ConfigError

_SMALLEST = MAX_OVER_SELECTION // 2
"""Devices on their way for each contribution of a buffer, at most."""


def expect(settings: EngineSettings, plan: Plan, cohort: int) -> None:
    """Checks that a run's plan and engine agree on buffered rounds.

    Args:
        settings: of the engine.
        plan: of the run.
        cohort: clients of a round.

    Raises:
        ConfigError: they do not.
    """
    if not plan.server.most_stale:
        if settings.buffer:
            raise ConfigError("engine.buffer is for buffered rounds: set server.most_stale above 0, or leave it out")
        return
    if settings.name != "fleet" or not settings.buffer:
        raise ConfigError(
            "server.most_stale is for devices that take different times, which a fleet alone has: set engine.name to "
            "fleet, and engine.buffer to the contributions that close a round"
        )
    if not cohort <= settings.buffer * _SMALLEST <= cohort * _SMALLEST:
        raise ConfigError(
            f"engine.buffer is {settings.buffer}, and {cohort} devices are on their way: it lies between "
            f"{-(-cohort // _SMALLEST)} and {cohort}"
        )
