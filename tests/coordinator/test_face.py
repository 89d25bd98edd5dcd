"""The public face of the room: every name that it exports, and nothing loaded before it is used."""

import subprocess
import sys

import coordinator

FACE = {
    "Aggregator",
    "ClippedMean",
    "Coordinator",
    "CoordinatorError",
    "Mean",
    "RecordedRound",
    "RefusalError",
    "Servers",
    "Tls",
    "recorded_rounds",
    "server_step",
}


def test_the_exported_names_are_these_and_every_one_is_there():
    assert set(coordinator.__all__) == set(dir(coordinator)) == FACE
    for name in FACE:
        assert getattr(coordinator, name).__name__ == name


def test_importing_the_room_loads_none_of_its_modules():
    code = "import sys, coordinator; print([name for name in sys.modules if name.startswith('coordinator.')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
