"""The SDK that runs on a device: record, recommend, train, unlearn.

```python
from client_sdk import FedClient

with FedClient.open("/data/fed", coordinator="dns:///fed.example.com:443", population="movies") as client:
    client.record("movie-1193")  # stays on the device
    client.set_attribute("gender", "F")  # stays on the device; switches unlearning on
    client.sync()  # one check-in now: train and upload if the coordinator assigns a round
    client.recommend(k=10)  # offline
```

Importing this package loads neither PyTorch nor ONNX Runtime nor gRPC: each is loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from client_sdk.errors import (
    AttributeValueError,
    DamagedTaskError,
    DivergedError,
    DriverError,
    FedError,
    ForbiddenGraphError,
    LocalCoordinatorError,
    MissingDeviceStateError,
    MissingEngineError,
    MissingFeatureError,
    MissingPackageError,
    NoDataError,
    NoModelError,
    RefusedError,
    ResourceLimitError,
    StoreError,
    StoreLockedError,
    StoreVersionError,
    TaskError,
    TrainingError,
    TransportError,
    UnknownItemError,
    UnknownWishError,
    UnsupportedTaskError,
    UntrustedTaskError,
    UsageError,
)
from fedau2 import __version__ as __version__

if TYPE_CHECKING:
    from client_sdk.aio import AsyncFedClient
    from client_sdk.client import FedClient, Recommendation
    from client_sdk.events import Joined, NewModel, Refused, Rejected, Trained, Uploaded
    from client_sdk.onnx.limits import Limits
    from client_sdk.privacy import PrivacyReport
    from client_sdk.protocol.wishes import Outcome, Result
    from client_sdk.scheduling.schedule import Constraints, DeviceState
    from client_sdk.status import ClientStatus
    from client_sdk.store.departures import Departure

__all__ = [
    "AsyncFedClient",
    "AttributeValueError",
    "ClientStatus",
    "Constraints",
    "DamagedTaskError",
    "Departure",
    "DeviceState",
    "DivergedError",
    "DriverError",
    "FedClient",
    "FedError",
    "ForbiddenGraphError",
    "Joined",
    "Limits",
    "LocalCoordinatorError",
    "MissingDeviceStateError",
    "MissingEngineError",
    "MissingFeatureError",
    "MissingPackageError",
    "NewModel",
    "NoDataError",
    "NoModelError",
    "Outcome",
    "PrivacyReport",
    "Recommendation",
    "Refused",
    "RefusedError",
    "Rejected",
    "ResourceLimitError",
    "Result",
    "StoreError",
    "StoreLockedError",
    "StoreVersionError",
    "TaskError",
    "Trained",
    "TrainingError",
    "TransportError",
    "UnknownItemError",
    "UnknownWishError",
    "UnsupportedTaskError",
    "UntrustedTaskError",
    "Uploaded",
    "UsageError",
]

_HOMES = {
    "AsyncFedClient": "client_sdk.aio",
    "Departure": "client_sdk.store.departures",
    "ClientStatus": "client_sdk.status",
    "Constraints": "client_sdk.scheduling.schedule",
    "DeviceState": "client_sdk.scheduling.schedule",
    "FedClient": "client_sdk.client",
    "Limits": "client_sdk.onnx.limits",
    "PrivacyReport": "client_sdk.privacy",
    "Recommendation": "client_sdk.client",
    "Outcome": "client_sdk.protocol.wishes",
    "Result": "client_sdk.protocol.wishes",
    **dict.fromkeys(("Joined", "NewModel", "Refused", "Rejected", "Trained", "Uploaded"), "client_sdk.events"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
