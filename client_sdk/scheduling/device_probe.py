"""Reads the state of the device with psutil. Importing this module loads psutil."""

from pathlib import Path

import psutil

from client_sdk.scheduling.schedule import DeviceState

_LOW_BATTERY = 15.0
_LOW_STORAGE = 500 * 1024**2
_LOW_STORAGE_SHARE = 0.05


def read(folder: Path) -> DeviceState:
    """Returns the device's state. Storage is low, as on Android, under 5 % of the disk of `folder` or 500 MiB.

    psutil has no data on meters and users, so `unmetered` and `idle` are unknown. Without a battery, `charging` and
    `battery_not_low` are unknown too, because psutil reports a machine without a battery like one whose battery it
    cannot read.
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
