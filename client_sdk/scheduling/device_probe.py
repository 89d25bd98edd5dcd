"""The state of the device as psutil tells it; importing this module loads psutil."""

from pathlib import Path

import psutil

from client_sdk.scheduling.schedule import DeviceState

_LOW_BATTERY = 15.0
_LOW_STORAGE = 500 * 1024**2
_LOW_STORAGE_SHARE = 0.05


def read(folder: Path) -> DeviceState:
    """The device's state now; storage is low, as on Android, under 5 % of the disk of `folder` or 500 MiB.

    psutil knows nothing of meters and users, so `unmetered` and `idle` are not known. Nor are `charging` and
    `battery_not_low` without a battery: psutil does not tell a machine that has none from one whose battery it cannot
    read.
    """
    charging, battery = _power()
    return DeviceState(charging=charging, battery_not_low=battery, storage_not_low=_storage(folder))


def _power() -> tuple[bool | None, bool | None]:
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, psutil.Error):  # AttributeError: a platform for which psutil has no such function
        battery = None
    if battery is None:
        return None, None
    return battery.power_plugged, bool(battery.percent > _LOW_BATTERY)


def _storage(folder: Path) -> bool | None:
    try:
        usage = psutil.disk_usage(str(folder))
    except OSError:
        return None
    return bool(usage.free > min(_LOW_STORAGE, _LOW_STORAGE_SHARE * usage.total))
