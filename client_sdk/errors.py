"""Errors of the SDK. Nothing else is raised for what an app, a server or a disk can cause.

* FedError
  + StoreError: the state folder cannot be used
    - StoreLockedError: another process uses it
    - StoreVersionError: it was written by a newer SDK
  + UsageError: a call that cannot be meant
    - UnknownItemError: an item that the catalogue does not list
    - AttributeValueError: an attribute's value that no adversary of the task knows
  + NoModelError: nothing to recommend with before the first sync
  + TaskError: the task cannot be run here
    - NoDataError: nothing recorded to train on
    - UnsupportedTaskError: a model, head or format that this SDK does not know
      * MissingFeatureError: it requires a feature that this SDK does not have: update the app
      * ForbiddenGraphError: a graph holds what no graph may
    - UntrustedTaskError: the task is not signed by a publisher that the app trusts
    - ResourceLimitError: training would take more memory or time than it may
    - DamagedTaskError: the coordinator sent bytes that are not what their hash says
    - TrainingError: the engine failed, for example for want of memory
    - DivergedError: training gave values that are not finite
    - MissingEngineError: the engine that was asked for is not installed
  + DriverError: a session's driver answered a wish with something else than was wished for
    - UnknownWishError: it does not know the wish, and did nothing
  + TransportError: the coordinator could not be reached or did not answer; nothing is lost, try again later
  + RefusedError: the coordinator refused a call
  + MissingPackageError: what was asked for needs a package that is not installed
  + MissingDeviceStateError: nothing tells whether the constraints of background work are met
  + LocalCoordinatorError: `client_sdk.testing` could not do what a test asked for
"""


class FedError(Exception):
    """Root of the SDK's errors."""


class StoreError(FedError):
    """The state folder cannot be used."""


class StoreLockedError(StoreError):
    """Another process uses the state folder."""


class StoreVersionError(StoreError):
    """The state folder was written by a newer SDK."""


class UsageError(FedError, ValueError):
    """A call that cannot be meant."""


class UnknownItemError(UsageError):
    """The task's catalogue does not list this item."""


class AttributeValueError(UsageError):
    """No adversary of the task knows this value of the attribute."""


class NoModelError(FedError):
    """There is no model yet: call sync() first."""


class TaskError(FedError):
    """The task cannot be run on this device."""


class NoDataError(TaskError):
    """Nothing is recorded that could be trained on."""


class UnsupportedTaskError(TaskError):
    """The task asks for something that this SDK does not know."""


class MissingFeatureError(UnsupportedTaskError):
    """The task requires features that this SDK does not have: update the app.

    Attributes:
        features: their names, sorted.
    """

    def __init__(self, features: tuple[str, ...]) -> None:
        self.features = features
        names = ", ".join(features)
        super().__init__(f"the task requires what this SDK does not have ({names}): update the app to a newer fedau2")


class ForbiddenGraphError(UnsupportedTaskError):
    """A graph of the task holds what no graph may: it was refused before anything of it ran."""


class UntrustedTaskError(TaskError):
    """The task is not signed by a publisher that the app trusts; nothing of it was run or kept."""


class ResourceLimitError(TaskError):
    """Training would take more memory or time than it may; nothing was kept or sent."""


class DamagedTaskError(TaskError):
    """The coordinator sent bytes that are not what their hash says."""


class TrainingError(TaskError):
    """The engine failed, for example for want of memory; nothing was kept or sent."""


class DivergedError(TaskError):
    """Training gave values that are not finite."""


class MissingEngineError(TaskError):
    """The engine that was asked for needs a package that is not installed."""


class DriverError(FedError):
    """The driver of a session answered a wish with something else than was wished for."""


class UnknownWishError(DriverError):
    """The driver of a session does not know a wish, and did nothing for it."""


class TransportError(FedError):
    """The coordinator could not be reached or did not answer. Nothing is lost; try again later."""


class RefusedError(FedError):
    """The coordinator refused a call; the text says why."""


class MissingPackageError(FedError):
    """What was asked for needs a package that is not installed; the text says which."""


class MissingDeviceStateError(FedError):
    """Nothing tells whether the constraints of background work are met: psutil is not installed."""


class LocalCoordinatorError(FedError):
    """`client_sdk.testing` could not do what a test asked for; the text says why."""
