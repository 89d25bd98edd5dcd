"""The SDK that runs on a device: record, recommend, train, unlearn.

```python
from client_sdk import FedClient

with FedClient.open("/data/fed", coordinator="dns:///fed.example.com:443", population="movies") as client:
    client.record("movie-1193")  # kept on the device; a contribution reveals which items
    client.set_attribute("gender", "F")  # never sent as such; switches unlearning on
    client.sync()  # one check-in now: train and upload if the coordinator assigns a round
    client.recommend(k=10)  # offline
```

Importing this package loads neither PyTorch nor ONNX Runtime nor gRPC: each is loaded on first use.
"""

from typing import TYPE_CHECKING

from client_sdk.errors import (
    AttributeValueError,
    CredentialsError,
    DamagedTaskError,
    DivergedError,
    DriverError,
    FedError,
    ForbiddenGraphError,
    LocalCoordinatorError,
    MissingDeviceStateError,
    MissingEngineError,
    MissingFeatureError,
    MissingGraphError,
    MissingPackageError,
    NoDataError,
    NoModelError,
    PlainTaskError,
    RefusedError,
    ReleaseError,
    ResourceLimitError,
    StoreClosedError,
    StoreError,
    StoreForkedError,
    StoreKeyError,
    StoreLockedError,
    StoreVersionError,
    TaskError,
    TimedOutError,
    TrainingError,
    TransportError,
    UnknownCallError,
    UnknownWishError,
    UnsupportedTaskError,
    UntrustedTaskError,
    UntrustedUnmaskerError,
    UsageError,
)
from client_sdk.retry import RetryWindow as RetryWindow
from fedau2 import __version__ as __version__
from fedau2.lazy import exports
from fedau2.wire.status import Status as Status

if TYPE_CHECKING:
    from client_sdk.aio import AsyncFedClient
    from client_sdk.client import FedClient
    from client_sdk.events import (
        BlobRemoved,
        CarriedOver,
        ContributionDropped,
        DownloadDropped,
        InteractionsDropped,
        Joined,
        NewModel,
        Refused,
        Rejected,
        SyncFailed,
        SyncInterrupted,
        TaskRefused,
        Trained,
        Uploaded,
    )
    from client_sdk.identity.enrolling import Enrolment
    from client_sdk.identity.unmaskers import Unmasker
    from client_sdk.onnx.limits import Limits
    from client_sdk.personalisation.outcome import Ended, Personalisation
    from client_sdk.profiles import Profiles
    from client_sdk.protocol.floors import SumFloors
    from client_sdk.protocol.wishes import Outcome, Result
    from client_sdk.recommending import Reason, Recommendation
    from client_sdk.reporting.report import PrivacyReport
    from client_sdk.reporting.statements import Statement, StatementKind
    from client_sdk.scheduling.schedule import Constraints, DeviceState
    from client_sdk.status import ClientStatus
    from client_sdk.store.departures import Departure
    from client_sdk.store.rekeying import change_key
    from client_sdk.transport.credentials import Credentials

__all__ = [
    "AsyncFedClient",
    "AttributeValueError",
    "BlobRemoved",
    "CarriedOver",
    "ClientStatus",
    "Constraints",
    "ContributionDropped",
    "Credentials",
    "CredentialsError",
    "DamagedTaskError",
    "Departure",
    "DeviceState",
    "DivergedError",
    "DownloadDropped",
    "DriverError",
    "Ended",
    "Enrolment",
    "FedClient",
    "FedError",
    "ForbiddenGraphError",
    "InteractionsDropped",
    "Joined",
    "Limits",
    "LocalCoordinatorError",
    "MissingDeviceStateError",
    "MissingEngineError",
    "MissingFeatureError",
    "MissingGraphError",
    "MissingPackageError",
    "NewModel",
    "NoDataError",
    "NoModelError",
    "Outcome",
    "Personalisation",
    "PlainTaskError",
    "PrivacyReport",
    "Profiles",
    "Reason",
    "Recommendation",
    "Refused",
    "RefusedError",
    "Rejected",
    "ReleaseError",
    "ResourceLimitError",
    "Result",
    "RetryWindow",
    "Statement",
    "StatementKind",
    "Status",
    "StoreClosedError",
    "StoreError",
    "StoreForkedError",
    "StoreKeyError",
    "StoreLockedError",
    "StoreVersionError",
    "SumFloors",
    "SyncFailed",
    "SyncInterrupted",
    "TaskError",
    "TaskRefused",
    "TimedOutError",
    "Trained",
    "TrainingError",
    "TransportError",
    "UnknownCallError",
    "UnknownWishError",
    "Unmasker",
    "UnsupportedTaskError",
    "UntrustedTaskError",
    "UntrustedUnmaskerError",
    "Uploaded",
    "UsageError",
    "change_key",
]

_MODULES = {
    "AsyncFedClient": "aio",
    "ClientStatus": "status",
    "Constraints": "scheduling.schedule",
    "Credentials": "transport.credentials",
    "Departure": "store.departures",
    "DeviceState": "scheduling.schedule",
    "Enrolment": "identity.enrolling",
    "FedClient": "client",
    "change_key": "store.rekeying",
    "Limits": "onnx.limits",
    "Outcome": "protocol.wishes",
    **dict.fromkeys(("Ended", "Personalisation"), "personalisation.outcome"),
    "PrivacyReport": "reporting.report",
    **dict.fromkeys(("Statement", "StatementKind"), "reporting.statements"),
    "Profiles": "profiles",
    "Reason": "recommending",
    "Recommendation": "recommending",
    "Result": "protocol.wishes",
    "SumFloors": "protocol.floors",
    "Unmasker": "identity.unmaskers",
    **dict.fromkeys(("CarriedOver", "Joined", "NewModel", "Refused", "Rejected", "Trained", "Uploaded"), "events"),
    **dict.fromkeys(("SyncFailed", "SyncInterrupted", "TaskRefused", "DownloadDropped"), "events"),
    **dict.fromkeys(("BlobRemoved", "ContributionDropped", "InteractionsDropped"), "events"),
}

__getattr__, __dir__ = exports(__name__, _MODULES, __all__)
