"""The visitors of the dashboard: everybody of this machine on loopback, and operators with certificates elsewhere."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from coordinator.errors import ForbiddenError, SettingError
from coordinator.grpc import operators
from coordinator.grpc.operators import Role
from fedau2.wire import addresses

CERTIFIED = "fedau2.certified"
"""Key of a scope: the common name of the certificate that the visitor's connection has shown."""


@dataclass(frozen=True)
class Visitor:
    """A visitor.

    Attributes:
        name: common name of the certificate; "local" on loopback.
        role: the most that the visitor may do here. The coordinator says what the dashboard may do.
    """

    name: str
    role: Role


class Visitors:
    """Names the visitor of each request.

    Args:
        roles: TOML file of visitors' roles by their certificates' names, read at each request; None: the dashboard is
            on loopback.
        local: role of everybody on loopback.
    """

    def __init__(self, roles: Path | None, local: Role = Role.ADMIN) -> None:
        self._roles, self._local_role = roles, local

    def visitor(self, scope: Scope) -> Visitor:
        """Returns the visitor of a request.

        Raises:
            ForbiddenError: nobody may be let in who comes like this.
        """
        if self._roles is None:
            return _local(HTTPConnection(scope).headers.get("host", ""), self._local_role)
        name = scope.get(CERTIFIED, "")
        if not name:
            raise ForbiddenError("show a certificate with one printable common name")
        try:
            role = operators.read(self._roles).get(name)
        except SettingError as error:
            raise ForbiddenError(f"nobody is let in: {error}") from error
        if role is None:
            raise ForbiddenError(f"{name} has no role here: an administrator enters it in {self._roles.name}")
        return Visitor(name, role)


def _local(host: str, role: Role) -> Visitor:
    """Lets everybody of this machine in, but no page of another site whose name leads here."""
    if not addresses.is_loopback(host):
        raise ForbiddenError("open the dashboard by its own address, such as http://127.0.0.1:8646")
    return Visitor("local", role)


def common_name(connection: ssl.SSLObject | None) -> str:
    """Returns the common name of the certificate that a connection has shown; empty: not one that can be printed."""
    shown: Mapping[str, Any] = (connection.getpeercert() if connection is not None else None) or {}
    names = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if len(names) == 1 and names[0].isprintable() else ""
