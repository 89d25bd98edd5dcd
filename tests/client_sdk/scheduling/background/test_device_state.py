"""Where the state of the device comes from."""

import subprocess
import sys
from collections import namedtuple
from dataclasses import replace

from client_sdk import Constraints, DeviceState
from tests.client_sdk.scheduling.background.virtual import run

Battery = namedtuple("Battery", "percent secsleft power_plugged")  # as psutil documents it


def test_a_provider_that_fails_meets_no_constraint(client, remote, clock, caplog):
    answers = iter([lambda: 1 / 0, lambda: "charging"])
    run(client, clock(2), Constraints(charging=True), device_state=lambda: next(answers)())
    assert remote.calls == []
    assert "device_state failed" in caplog.text
    assert "returned a str" in caplog.text


def test_psutil_tells_of_storage_and_says_what_it_cannot_tell(client, remote, clock, tmp_path, caplog):
    from client_sdk.scheduling import device_probe

    state = device_probe.read(tmp_path)
    assert (state.unmetered, state.idle) == (None, None)
    assert device_probe.read(tmp_path / "nothing").storage_not_low is None
    assert isinstance(state.storage_not_low, bool)
    run(client, clock(1), Constraints(idle=True))
    assert "psutil does not know idle" in caplog.text
    assert client.status().background.unmet == ("idle",)
    assert remote.calls == []


def test_how_psutil_speaks_of_batteries(monkeypatch, tmp_path):
    import psutil

    from client_sdk.scheduling import device_probe

    def with_battery(*fields):
        monkeypatch.setattr(psutil, "sensors_battery", lambda: Battery(*fields) if fields else None, raising=False)
        return replace(device_probe.read(tmp_path), storage_not_low=None)

    assert with_battery(80, 3600, False) == DeviceState(charging=False, battery_not_low=True)
    assert with_battery(15, 900, True) == DeviceState(charging=True, battery_not_low=False)
    assert with_battery(15.5, 900, None) == DeviceState(charging=None, battery_not_low=True)
    assert with_battery() == DeviceState()
    monkeypatch.delattr(psutil, "sensors_battery")
    assert replace(device_probe.read(tmp_path), storage_not_low=None) == DeviceState()


def test_without_psutil_it_says_what_to_install_and_works_without_constraints(tmp_path):
    code = """
import sys
sys.modules["psutil"] = None
from client_sdk import Constraints, DeviceState, FedClient, MissingDeviceStateError
with FedClient.open(sys.argv[1], "localhost:1", "films") as client:
    try:
        client.background.start(Constraints(charging=True))
    except MissingDeviceStateError as error:
        print(error)
    client.background.start(Constraints(charging=True), device_state=DeviceState)
    print(client.status().background.running)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "state")], capture_output=True, text=True)
    said, running = done.stdout.splitlines()
    assert "pip install 'fedau2[background]'" in said, done.stderr
    assert running == "True"
