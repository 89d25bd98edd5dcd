"""The coordinator as an object on an event loop, whatever the transport."""

from coordinator.engine.admin_calls import AdminCalls
from coordinator.engine.device_calls import DeviceCalls


class Coordinator(DeviceCalls, AdminCalls):
    """Both services as methods. Refuses a call by raising an `errors.RefusalError`. Opened by `open`."""
