"""The public face of each room: every name that its `__init__` exports. All else is private by convention."""

import subprocess
import sys
from importlib import import_module

import pytest

FACES = {
    "client_sdk": {
        *("AsyncFedClient", "AttributeValueError", "ClientStatus", "Constraints", "DamagedTaskError", "Departure"),
        *(
            "DeviceState",
            "DivergedError",
            "DriverError",
            "Ended",
            "FedClient",
            "FedError",
            "ForbiddenGraphError",
            "Joined",
        ),
        *("Limits", "LocalCoordinatorError", "MissingDeviceStateError", "MissingEngineError", "MissingFeatureError"),
        *(
            "MissingGraphError",
            "MissingPackageError",
            "NewModel",
            "NoDataError",
            "NoModelError",
            "Outcome",
            "Personalisation",
            "PrivacyReport",
        ),
        *("Recommendation", "Refused", "RefusedError", "Rejected", "ResourceLimitError", "Result", "StoreClosedError"),
        *("Profiles", "Reason", "RetryWindow", "Status", "SyncFailed", "SyncInterrupted"),
        *(
            "StoreError",
            "StoreForkedError",
            "StoreLockedError",
            "StoreVersionError",
            "TaskError",
            "Trained",
            "TrainingError",
            "TransportError",
        ),
        *(
            "UnknownCallError",
            "UnknownWishError",
            "UnsupportedTaskError",
            "UntrustedTaskError",
            "Uploaded",
        ),
        *("BlobRemoved", "ContributionDropped", "DownloadDropped", "InteractionsDropped", "TaskRefused"),
        *("Statement", "StatementKind"),
        *("CarriedOver", "TimedOutError", "UsageError"),
        *("Credentials", "CredentialsError", "StoreKeyError", "change_key"),
        *("Enrolment", "PlainTaskError", "ReleaseError", "SumFloors", "Unmasker", "UntrustedUnmaskerError"),
    },
    "coordinator": {
        *("Aggregator", "ClippedMean", "Coordinator", "CoordinatorError", "Mean", "RecordedRound", "RefusalError"),
        *("Servers", "Tls", "recorded_rounds", "server_step"),
    },
    "export": {
        *("Bundle", "ExportError", "Plan", "build", "complete", "from_plan", "keygen", "read", "read_items", "sign"),
        *("succeed", "write"),
    },
    "unmasker": {"Books", "RefusalError", "Rules", "StateFolder", "Unmasker", "UnmaskerError"},
    "simulator": {
        "Attribute",
        "Config",
        "Dataset",
        "Result",
        "SimulatorError",
        "load",
        "load_dataset",
        "run",
        "train_alone",
    },
}

HEAVY = {"torch", "pandas", "onnxruntime", "grpc", "sqlalchemy", "pydantic", "matplotlib", "sklearn"}


@pytest.mark.parametrize("room", FACES)
def test_a_room_exports_these_names_and_has_every_one(room):
    package = import_module(room)
    assert set(package.__all__) == set(dir(package)) == FACES[room]
    for name in FACES[room]:
        assert getattr(package, name).__name__ == name


@pytest.mark.parametrize("room", FACES)
def test_a_face_has_no_other_name(room):
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = import_module(room).nothing


@pytest.mark.parametrize("room", FACES)
def test_importing_a_room_loads_no_heavy_library(room):
    code = f"import sys, {room}; print(sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
