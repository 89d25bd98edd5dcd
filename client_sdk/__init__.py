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
    FedError,
    LocalCoordinatorError,
    MissingEngineError,
    NoDataError,
    NoModelError,
    RefusedError,
    StoreError,
    StoreLockedError,
    StoreVersionError,
    TaskError,
    TransportError,
    UnknownItemError,
    UnsupportedTaskError,
    UsageError,
)

if TYPE_CHECKING:
    from client_sdk.client import FedClient, Recommendation
    from client_sdk.events import Joined, NewModel, Refused, Rejected, Trained, Uploaded
    from client_sdk.session import Outcome, Result
    from client_sdk.status import ClientStatus

__all__ = [
    "AttributeValueError",
    "ClientStatus",
    "DamagedTaskError",
    "DivergedError",
    "FedClient",
    "FedError",
    "Joined",
    "LocalCoordinatorError",
    "MissingEngineError",
    "NewModel",
    "NoDataError",
    "NoModelError",
    "Outcome",
    "Recommendation",
    "Refused",
    "RefusedError",
    "Rejected",
    "Result",
    "StoreError",
    "StoreLockedError",
    "StoreVersionError",
    "TaskError",
    "Trained",
    "TransportError",
    "UnknownItemError",
    "UnsupportedTaskError",
    "Uploaded",
    "UsageError",
]

_HOMES = {
    "ClientStatus": "client_sdk.status",
    "FedClient": "client_sdk.client",
    "Recommendation": "client_sdk.client",
    "Outcome": "client_sdk.session",
    "Result": "client_sdk.session",
    **dict.fromkeys(("Joined", "NewModel", "Refused", "Rejected", "Trained", "Uploaded"), "client_sdk.events"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
