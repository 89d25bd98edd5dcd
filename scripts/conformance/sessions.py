"""Transcripts of sessions: what a device asks in which order, how it ends, and what its store then holds."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from client_sdk.errors import FedError
from client_sdk.events import Event, Uploaded
from client_sdk.interactions import Kept
from client_sdk.onnx.onnx_engine import OnnxEngine
from client_sdk.protocol.drivers import drive
from client_sdk.protocol.session import session
from client_sdk.protocol.values import PrivateState, Staged
from client_sdk.protocol.wishes import Outcome
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.wire import blobs
from fedau2.wire.status import StatusError
from scripts.conformance import scenarios, tasks
from scripts.conformance.answers import ASSIGNMENT, TASK
from scripts.conformance.arrays import Json, data
from scripts.conformance.devices import Device, Scenario
from scripts.conformance.drawing import KEYS
from scripts.conformance.script import Scripted

POPULATION, VERSION = "movies", "1.0"


def vectors() -> Json:
    """Returns one transcript for each scenario."""
    return [_transcript(scenario) for scenario in scenarios.all_of_them()]


def _transcript(scenario: Scenario) -> Json:
    device = scenario.device
    transport = Scripted(scenario.answers, scenario.served, scenario.pieces)
    events: list[Event] = []
    with TemporaryDirectory() as folder, closing(_store(Path(folder) / "state", device, scenario.served)) as store:
        running = session(
            store,
            OnnxEngine(),
            POPULATION,
            VERSION,
            events.append,
            without_place=device.without_place,
            wanted=lambda _: device.wanted,
        )
        try:
            end = _ended(drive(running, transport))
        except StatusError:
            end = {"error": "RefusedError"}
        except FedError as error:
            end = {"error": type(error).__name__}
        model, state = store.model(), store.private(TASK)
        after = {
            "staged": store.staged() is not None,
            "contributed": store.contributed(TASK),
            "trained": state is not None,
            "carried": None if state is None or _counted(events) else data(state.pack()),
            "model": None if model is None else model.round,
        }
    given = {
        "key": data(KEYS[0]),
        "population": POPULATION,
        "version": VERSION,
        "items": device.items,
        "attributes": device.attributes,
        "without_place": device.without_place,
        "wanted": device.wanted,
        "cached": device.cached,
        "contributed": device.contributed,
        "staged": device.staged,
        "known": [known.given() for known in device.known],
    }
    return {
        "name": scenario.name,
        "bundle": scenario.bundle,
        "blobs": _others(scenario),
        "device": given,
        "calls": transport.calls,
        "events": [type(event).__name__ for event in events],
        "end": end,
        "after": after,
    }


def _ended(outcome: Outcome) -> Json:
    window = outcome.retry
    retry = None if window is None else [window.earliest.total_seconds(), window.latest.total_seconds()]
    return {"result": outcome.result.value, "retry": retry, "refreshed": outcome.refreshed}


def _counted(events: Sequence[Event]) -> bool:
    """Says whether the private state is one that was trained in the session."""
    return any(isinstance(event, Uploaded) for event in events)


def _others(scenario: Scenario) -> Json:
    """Returns the blobs that are served under a hash and are not the bundle's."""
    bundle, served = tasks.read(scenario.bundle).served(), scenario.served
    return {address.hex(): data(content) for address, content in served.items() if bundle.get(address) != content}


def _store(folder: Path, device: Device, served: Mapping[bytes, bytes]) -> SqliteStore:
    store = SqliteStore(folder)
    store.database.write("UPDATE client SET key = ?", (KEYS[0],))
    store.record_many([Kept(item, 0) for item in device.items])
    for name, value in device.attributes.items():
        store.set_attribute(name, value)
    if device.cached:
        for content in served.values():
            store.keep_blob(blobs.resource(content), content)
    if device.contributed is not None:
        store.database.write("INSERT INTO contributed VALUES (?, ?)", (TASK, device.contributed))
    for known in device.known:
        known.keep(store)
    if device.staged:
        state = PrivateState.start({"p": np.zeros((1, 2), np.float32)}, 1)
        store.stage(Staged(ASSIGNMENT, TASK, 4, bytes(device.staged), state))
    return store
