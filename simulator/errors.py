"""Errors of the simulator.

* SimulatorError
  + ConfigError: a configuration that cannot be run
  + DatasetError: a data set that cannot be used
    - DatasetMissingError: its files are not there
    - DatasetDamagedError: a file is cut off, or not the one that its checksum says
    - DatasetFormatError: a file is not of the format expected; the text names the line
    - EmptyCoreError: a k-core that no user or item survives
    - OneClassError: all users whose attribute is known are of one class
    - DownloadError: it could not be fetched from its home
  + MissingAttackError: nobody has written the attacks on a recommender, so it cannot be audited
  + TooFewUsersError: an attacker needs more users of a class
  + ErasureError: an attribute cannot be erased from private state
  + NotFiniteError: private state that diverged cannot be attacked
  + DiskSpaceError: private state needs more disk than there is
  + FleetError: a fleet's coordinator or session failed
  + RunsFailedError: of several runs, some failed
  + BoundPassedError: an audit found more than was allowed
  + TrackingError: a run's metrics cannot be written to where they are tracked

`explain` says any of them, and those of other rooms, in a line.
"""

import errno

from coordinator.errors import AggregationError


class SimulatorError(Exception):
    """Root of the simulator's errors."""


class ConfigError(SimulatorError, ValueError):
    """A configuration that cannot be run."""


class DatasetError(SimulatorError):
    """A data set that cannot be used."""


class DatasetMissingError(DatasetError):
    """A data set's files are not there."""


class DatasetDamagedError(DatasetError):
    """A file is cut off, or not the one that its checksum says."""


class DatasetFormatError(DatasetError):
    """A file is not of the format expected."""


class EmptyCoreError(DatasetError):
    """A k-core that no user or item survives."""


class OneClassError(DatasetError):
    """All users whose attribute is known are of one class."""


class DownloadError(DatasetError):
    """A data set could not be fetched from its home."""


class MissingAttackError(SimulatorError):
    """Nobody has written the attacks on a recommender, so an audit would make it look safe."""


class TooFewUsersError(SimulatorError):
    """An attacker needs more users of a class than there are."""


class ErasureError(SimulatorError):
    """An attribute cannot be erased from private state; erasing would write it."""


class NotFiniteError(SimulatorError):
    """Private state holds a NaN or an infinity."""


class DiskSpaceError(SimulatorError):
    """Private state needs more disk than there is."""


class FleetError(SimulatorError):
    """A fleet's coordinator or session failed."""


class RunsFailedError(SimulatorError):
    """Of several runs, each in a process of its own, some failed."""


class BoundPassedError(SimulatorError):
    """An attack of an audit succeeded more often than was allowed."""


class TrackingError(SimulatorError):
    """A run's metrics cannot be written to where they are tracked."""


def explain(error: BaseException) -> str:
    """What was wrong and what to do, in a line."""
    if isinstance(error, AggregationError):
        return f"training diverged: {error}; lower the learning rates"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f", at {error.filename}" if error.filename else ""
        return f"the disk is full{where}: make room, and give the same command again, which goes on where it can"
    return str(error) or type(error).__name__
