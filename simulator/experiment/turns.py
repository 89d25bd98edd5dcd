"""Cohorts of clients that may take part in a number of rounds only: all of them take turns.

A turn is as many rounds as have cohorts of different clients, in an order of its own. So each round has a whole cohort,
and no client takes part more often than any other by two.
"""

import math

from simulator.config.sections import EngineSettings
from simulator.errors import ConfigError
from simulator.population import public_randomness
from simulator.population.population import Members


def taken(settings: EngineSettings) -> bool:
    """Returns whether clients take turns: noise and a cap on participations need it."""
    return bool(settings.max_participations or settings.noise_multiplier)


def cohort(seed: int, round_number: int, clients: int, size: int) -> Members:
    """Draws a round's cohort from the public randomness of a run's seed."""
    turn, place = divmod(round_number, clients // size)
    order = public_randomness.generator("turns", seed, turn).permutation(clients)
    return order[place * size :][:size]


def most(rounds: int, clients: int, size: int) -> int:
    """Returns the most rounds of one client in a run."""
    return math.ceil(rounds / (clients // size))


def participations(settings: EngineSettings, clients: int, size: int) -> int:
    """Returns the cap on a client's participations that a policy has; 0: none.

    Raises:
        ConfigError: the cap is too small for the run's rounds.
    """
    if not taken(settings):
        return 0
    needed = most(settings.rounds, clients, size)
    if settings.max_participations and settings.max_participations < needed:
        raise ConfigError(
            f"{settings.rounds} rounds of {size} of {clients} clients need {needed} participations of a client, and "
            f"engine.max_participations is {settings.max_participations}: raise it, or train fewer rounds"
        )
    return settings.max_participations or needed
