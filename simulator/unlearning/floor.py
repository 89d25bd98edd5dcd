"""A floor of noise: Gaussian noise on the states of users, the same for a user each time.

Its deviation is in standard deviations of each number of the state. After a linear map that shrinks the direction of an
attribute, the noise is larger than what is left in this direction, so that the map's inverse brings nothing back. Each
user has one draw, so nobody who sees a state often can average the noise away. Whoever has the user's secret key can
draw it again.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from client_sdk import draws
from simulator.population.columns import Column, blocks

_NUMBERS = 2**22
"""Numbers of all users that are read at a time."""


def noise(states: Mapping[str, Column], strength: float, keys: Sequence[bytes]) -> dict[str, NDArray[np.float32]]:
    """Draws the noise of all users.

    Args:
        states: by name, (users, ...).
        strength: deviation of the noise, in standard deviations of each number over the users.
        keys: secret key of each user.

    Returns:
        Addends of the states, by name, (users, ...).
    """
    drawn = {name: np.empty(column.shape, np.float32) for name, column in sorted(states.items())}
    for user, key in enumerate(keys):
        rng = draws.generator(key, 0, draws.Stream.FLOOR)
        for values in drawn.values():
            values[user] = rng.standard_normal(values.shape[1:], np.float32)
    for name, values in drawn.items():
        values *= np.float32(strength) * _spread(states[name]).reshape(values.shape[1:])
    return drawn


def _spread(column: Column) -> NDArray[np.float32]:
    """Returns the standard deviation of each number, (width,)."""
    parts = [block.std(0, dtype=np.float64) for block in blocks([column], _NUMBERS)]
    return np.concatenate(parts).astype(np.float32)
