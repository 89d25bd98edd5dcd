"""Errors of the simulator.

* SimulatorError
  + ConfigError: a configuration cannot be run
  + DatasetError: a data set cannot be used
    - DatasetMissingError: its files are missing
    - DatasetDamagedError: a file is truncated, or its checksum is wrong
    - DatasetFormatError: a file does not have the expected format; the text names the line
    - EmptyCoreError: no user or item survives the k-core
    - OneClassError: too few classes of an attribute have users
    - DatasetExistsError: a folder that was to be made is there
    - DownloadError: it could not be downloaded
  + MissingAttackError: nobody has written the attacks on a recommender, so it cannot be audited
  + TooFewUsersError: an attacker needs more users of a class
  + ErasureError: an attribute cannot be erased from private state
  + NotFiniteError: private state holds a NaN or an infinity
  + DiskSpaceError: private state needs more disk space than is free
  + RunFolderError: the folder of a run cannot be used
    - NotARunError: the folder holds no run
    - UnfinishedRunError: its run was interrupted before it had results
    - DamagedRunError: a file of it is damaged
    - NoStateError: its run did not keep the state of its users
    - StateVersionError: it keeps state of another version
  + UnknownUserError: the data set has no user of this id
  + ExecutorError: the workers of an executor cannot be had, or are lost
  + DeviceMemoryError: a GPU has too little memory
  + FleetError: a fleet's coordinator or session failed
  + RunsFailedError: some of several runs failed
  + BoundPassedError: an attack of an audit exceeded its bound
  + TrackingError: TensorBoard, MLflow, W&B or another tracker cannot be used

`explain` puts any of them, and the errors of other rooms, into one line.
"""

import errno


class SimulatorError(Exception):
    """Root of the simulator's errors."""


class ConfigError(SimulatorError, ValueError):
    """A configuration cannot be run."""


class DatasetError(SimulatorError):
    """A data set cannot be used."""


class DatasetMissingError(DatasetError):
    """A data set's files are missing."""


class DatasetDamagedError(DatasetError):
    """A file is truncated, or its checksum is wrong."""


class DatasetFormatError(DatasetError):
    """A file does not have the expected format."""


class EmptyCoreError(DatasetError):
    """No user or item survives the k-core."""


class OneClassError(DatasetError):
    """Too few classes of an attribute have users."""


class DatasetExistsError(DatasetError):
    """A folder that was to be made is there already."""


class DownloadError(DatasetError):
    """A data set could not be downloaded."""


class MissingAttackError(SimulatorError):
    """Nobody has written the attacks on a recommender, so an audit would make it look safe."""


class TooFewUsersError(SimulatorError):
    """An attacker needs more users of a class than there are."""


class ErasureError(SimulatorError):
    """An attribute cannot be erased from private state; erasing would write it."""


class NotFiniteError(SimulatorError):
    """Private state holds a NaN or an infinity."""


class DiskSpaceError(SimulatorError):
    """Private state needs more disk space than is free."""


class RunFolderError(SimulatorError):
    """The folder of a run cannot be used."""


class NotARunError(RunFolderError):
    """The folder holds no run."""


class UnfinishedRunError(RunFolderError):
    """The run was interrupted before it had results."""


class DamagedRunError(RunFolderError):
    """A file of a run is damaged."""


class NoStateError(RunFolderError):
    """The run did not keep the state of its users."""


class StateVersionError(RunFolderError):
    """The run keeps state of another version."""


class UnknownUserError(SimulatorError):
    """The data set has no user of this id."""


class ExecutorError(SimulatorError):
    """The workers of an executor cannot be had, or are lost."""


class DeviceMemoryError(SimulatorError):
    """A GPU has too little memory for what it is to compute.

    In training, the private state of some clients of the round may have moved already. So an engine that raised this
    is not used again: the run is resumed from its folder, whose last snapshot is whole.
    """


class FleetError(SimulatorError):
    """A fleet's coordinator or session failed."""


class RunsFailedError(SimulatorError):
    """Some of several runs failed, each in its own process."""


class BoundPassedError(SimulatorError):
    """An attack of an audit exceeded its bound."""


class TrackingError(SimulatorError):
    """A run's metrics cannot be written to a tracker."""


def explain(error: BaseException) -> str:
    """Says in one line what was wrong and what to do."""
    from coordinator.errors import AggregationError  # here, because help does not need the wire

    if isinstance(error, AggregationError):
        return f"training diverged: {error}; lower the learning rates"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f", at {error.filename}" if error.filename else ""
        return f"the disk is full{where}: free some space and repeat the command, which resumes where it can"
    return str(error) or type(error).__name__
