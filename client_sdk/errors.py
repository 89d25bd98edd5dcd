"""Errors of the SDK. It raises no others for faults of an app, a server or a disk.

Each has a `code`, `advice` and `retry`, see `FedError`. docs/codes.md lists the codes.

* FedError
  + StoreError: the state folder cannot be used
    - StoreLockedError: another client or process uses it
    - StoreKeyError: the app's key does not open it
    - StoreVersionError: it was written by a newer SDK
    - StoreClosedError: the client has been closed
    - StoreForkedError: another process opened the client, and this one was forked from that one
  + UsageError: an argument has a wrong type or value, or a call is not allowed at this place
    - AttributeValueError: no adversary of the task knows an attribute's value
  + NoModelError: there is no model to recommend from before the first sync
  + TaskError: the task cannot be run here
    - NoDataError: nothing is recorded to train on
    - UnsupportedTaskError: the task needs something that this SDK does not know, for example a model or a format
      * MissingFeatureError: it requires a feature that this SDK does not have: update the app
      * MissingGraphError: it brings no training graph
      * ForbiddenGraphError: a graph holds something that no graph may hold
    - UntrustedTaskError: the task is not signed by a publisher that the app trusts
      * ReleaseError: its publisher signed it for another population, or a newer one has followed it, or it has ended
      * PlainTaskError: it has no secure sums, which the app requires, or weaker ones
    - ResourceLimitError: the task would take more memory, time or bytes than it may
    - DamagedTaskError: the coordinator sent bytes that do not match their hash
    - TrainingError: the engine failed, for example because memory ran out
    - DivergedError: training gave values that are not finite
    - MissingEngineError: the engine that was asked for is not installed
  + DriverError: a session's driver answered a wish with a value of the wrong class
    - UnknownWishError: it does not know the wish, and did nothing
  + TransportError: the coordinator could not be reached or did not answer; nothing is lost
    - UnknownCallError: it does not know the call: it is older than this SDK, or none
    - CredentialsError: this device could not show who it is, or was turned away for it
  + RefusedError: the coordinator refused a call
  + UntrustedUnmaskerError: an unmasker's answer, or a round's key, is not signed as it must be
  + TimedOutError: a sync did not end in the time that the app gave it
  + MissingPackageError: a package that the call needs is not installed
  + MissingDeviceStateError: the device's state is not known, so the constraints of background work cannot be checked
  + LocalCoordinatorError: `client_sdk.testing` could not do what a test asked for
"""

import re
from pathlib import Path
from typing import ClassVar

from client_sdk.advice import ADVICE
from client_sdk.retry import RetryWindow
from fedau2.wire.status import Status


class FedError(Exception):
    """Root of the SDK's errors. Its text is the first of its `args`, and the fields of its kind follow.

    Attributes:
        code: stable name of the kind, for example "no_data".
        retry: window in which the coordinator wants the next check-in; None if it named none.
    """

    code: ClassVar[str] = "error"
    retry: RetryWindow | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__.removesuffix("Error")).lower()

    @property
    def advice(self) -> str:
        """The app's next step, in one or two sentences. It never quotes anything of the user."""
        codes = [kind.code for kind in type(self).__mro__ if issubclass(kind, FedError)]
        return next(ADVICE[code] for code in codes if code in ADVICE)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class StoreError(FedError):
    """The state folder cannot be used."""


class StoreLockedError(StoreError):
    """Another client or process uses the state folder.

    Attributes:
        folder: the state folder.
    """

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message, folder)
        self.folder = folder


class StoreKeyError(StoreError):
    """The app's key does not open the state folder, or is missing. Nothing was changed."""


class StoreVersionError(StoreError):
    """The state folder was written by a newer SDK."""


class StoreClosedError(StoreError):
    """The client has been closed: open another."""


class StoreForkedError(StoreError):
    """Another process opened the client, and this one was forked from that one: open a client after the fork."""


class UsageError(FedError, ValueError):
    """An argument has a wrong type or value, or a call is not allowed at this place."""


class AttributeValueError(UsageError):
    """No adversary of the task knows this value of the attribute. The error does not hold the value.

    Attributes:
        attribute: the attribute's name.
    """

    def __init__(self, message: str, attribute: str) -> None:
        super().__init__(message, attribute)
        self.attribute = attribute


class NoModelError(FedError):
    """There is no model yet: call sync() first."""


class TaskError(FedError):
    """The task cannot be run on this device."""


class NoDataError(TaskError):
    """Nothing is recorded that could be trained on."""


class UnsupportedTaskError(TaskError):
    """The task asks for something that this SDK does not know."""


class MissingFeatureError(UnsupportedTaskError):
    """The task requires features that this SDK does not have, or that the app has not opened the client for.

    Attributes:
        features: their names, sorted.
    """

    def __init__(self, message: str, features: tuple[str, ...]) -> None:
        super().__init__(message, features)
        self.features = features


class MissingGraphError(UnsupportedTaskError):
    """The task brings no training graph, so that ONNX Runtime cannot train for it."""


class ForbiddenGraphError(UnsupportedTaskError):
    """A graph of the task holds something that no graph may hold. It was refused before anything of it ran."""


class UntrustedTaskError(TaskError):
    """The task is not signed by a publisher that the app trusts; nothing of it was run or kept."""


class ReleaseError(UntrustedTaskError):
    """The publisher signed it for another population or another time, or a newer one has followed; nothing was run."""


class PlainTaskError(UntrustedTaskError):
    """The task has no secure sums, or weaker ones than the app requires; nothing was trained or sent."""


class ResourceLimitError(TaskError):
    """The task would take more memory, time or bytes than it may; nothing was kept or sent."""


class DamagedTaskError(TaskError):
    """The coordinator sent bytes that do not match their hash."""


class TrainingError(TaskError):
    """The engine failed, for example because memory ran out; nothing was kept or sent."""


class DivergedError(TaskError):
    """Training gave values that are not finite."""


class MissingEngineError(TaskError):
    """The engine that was asked for needs a package that is not installed."""


class DriverError(FedError):
    """The driver of a session answered a wish with a value of the wrong class."""


class UnknownWishError(DriverError):
    """The driver of a session does not know a wish, and did nothing for it."""


class TransportError(FedError):
    """The coordinator could not be reached or did not answer. Nothing is lost.

    Attributes:
        temporary: True if the same call may succeed later. False if something most likely has to be changed first: the
            address, `root_certificates`, or the network, for example a Wi-Fi that wants a login.
    """

    def __init__(self, message: str, temporary: bool = True) -> None:
        super().__init__(message, temporary)
        self.temporary = temporary


class UnknownCallError(TransportError):
    """The coordinator does not know the call: it is older than this SDK, or no coordinator is at this address."""

    def __init__(self, message: str, temporary: bool = False) -> None:
        super().__init__(message, temporary)


class CredentialsError(TransportError):
    """The device could not show who it is, or was turned away for it: its metadata, its certificate. Nothing is lost.

    The text never quotes metadata.
    """

    def __init__(self, message: str, temporary: bool = False) -> None:
        super().__init__(message, temporary)


class RefusedError(FedError):
    """The coordinator refused a call; the text says why.

    Attributes:
        status: the gRPC status code.
    """

    def __init__(self, message: str, status: Status, retry: RetryWindow | None) -> None:
        super().__init__(message, status, retry)
        self.status = status
        self.retry = retry


class UntrustedUnmaskerError(FedError):
    """An unmasker's answer, or a round's key, is not signed by a key that the app knows, or is for something else."""


class TimedOutError(FedError, TimeoutError):
    """A sync did not end in the time that the app gave it. Nothing that was fetched or trained is lost; sync again."""


class MissingPackageError(FedError):
    """A package that the call needs is not installed; the text says which."""


class MissingDeviceStateError(FedError):
    """The device's state is not known, because psutil is not installed and the app gave no function for it."""


class LocalCoordinatorError(FedError):
    """`client_sdk.testing` could not do what a test asked for; the text says why."""
