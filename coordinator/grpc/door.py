"""The way of calls to a coordinator: to the one in this process, or to the leader that a stand-by passes them on to."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from coordinator.engine.admin_service import AdminService
from coordinator.engine.coordinator import Coordinator
from coordinator.engine.device_service import DeviceService
from coordinator.engine.limited import Limited
from coordinator.errors import StoppedError
from coordinator.grpc import handlers, passed_on
from coordinator.grpc.forwarding import Forwarding
from coordinator.grpc.gate import Gate
from coordinator.grpc.operators import Operators
from coordinator.grpc.status import Context
from coordinator.model import pace


@dataclass(frozen=True)
class StandBy:
    """Answers while another coordinator leads.

    Attributes:
        devices: passes the calls of devices on.
        admin: passes the calls of operators on.
    """

    devices: Forwarding
    admin: Forwarding


class Door:
    """The way in to a coordinator, shut while it recovers.

    Attributes:
        coordinator: the coordinator in this process; None: it is not open.
        stand_by: answers in its place; None: nothing does.
    """

    coordinator: Coordinator | None = None
    stand_by: StandBy | None = None

    def devices(self) -> DeviceService | Forwarding:
        """Returns what answers devices.

        Raises:
            StoppedError: nothing does yet.
        """
        return self.led().devices if self.stand_by is None else self.stand_by.devices

    def admin(self) -> AdminService | Forwarding:
        """Returns what answers operators.

        Raises:
            StoppedError: nothing does yet.
        """
        return self.led().admin if self.stand_by is None else self.stand_by.admin

    def limited(self) -> Limited | None:
        """Returns the limits of the device address; None while nothing answers."""
        if self.stand_by is not None:
            return self.stand_by.devices.limited
        return None if self.coordinator is None else self.coordinator.devices.limited

    def admin_limited(self) -> Limited | None:
        """Returns the limits of the operators' address; None while nothing answers."""
        if self.stand_by is not None:
            return self.stand_by.admin.limited
        return None if self.coordinator is None else self.coordinator.admin_limited

    def led(self) -> Coordinator:
        """Returns the coordinator in this process.

        Raises:
            StoppedError: it is not open, because it starts or another one leads.
        """
        if self.coordinator is None:
            raise StoppedError("the coordinator is starting; try again later", pace.STARTING.message())
        return self.coordinator

    def gate(self, operators: Operators) -> handlers.Gate:
        """Makes the gate before operators' calls. A call that is passed on meets that of the leader."""
        here = Gate(operators, lambda: self.led().operations)

        def passing(call: str, request: Any, context: Context) -> AbstractAsyncContextManager[Any]:  # noqa: ANN401
            if self.stand_by is None:
                return here.passing(call, request, context)
            return passed_on.passing(operators, call, context)

        return passing
