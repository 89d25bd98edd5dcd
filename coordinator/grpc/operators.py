"""The operators: their names, their roles, and the least role that each call needs."""

import logging
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

from coordinator.errors import ForbiddenError, SettingError, UnprovenError
from coordinator.grpc.status import Context

_log = logging.getLogger(__name__)


class Role(IntEnum):
    """A role. A larger one may do what a smaller one may."""

    VIEWER = 1
    """Sees tasks and rounds."""
    OPERATOR = 2
    """Also pauses, resumes, stops and puts back tasks, skips rounds, and exports models."""
    ADMIN = 3
    """Also brings new tasks, and with them new programs, to devices."""


LOCAL = "local"
"""The name of callers within this machine, who show nothing."""

ACCOUNT = "token:"
"""The beginning of the names of callers by token; the account follows."""

NEEDED = {
    "GetTask": Role.VIEWER,
    "ListTasks": Role.VIEWER,
    "GetManifest": Role.VIEWER,
    "ListRounds": Role.VIEWER,
    "WatchRounds": Role.VIEWER,
    "FetchResource": Role.OPERATOR,
    "PauseTask": Role.OPERATOR,
    "ResumeTask": Role.OPERATOR,
    "StopTask": Role.OPERATOR,
    "RollBackTask": Role.OPERATOR,
    "SkipRound": Role.OPERATOR,
    "CreateTask": Role.ADMIN,
    "ReplaceTask": Role.ADMIN,
}
"""The least role for each method of AdminService."""


@dataclass(frozen=True)
class Operator:
    """The caller of a method.

    Attributes:
        name: common name of the certificate, or "token:" and the account that a token names; "local" without either.
        role: the role of the operator; None: none, so that no call is allowed.
        why: the reason why there is no role.
        proven: the caller has shown a token or a certificate that is accepted, or calls within this machine.
    """

    name: str
    role: Role | None
    why: str = "an administrator enters it in admin_roles"
    proven: bool = True

    def expect(self, call: str) -> None:
        """Returns if the operator may make a call.

        Raises:
            UnprovenError: nobody knows who calls.
            ForbiddenError: the operator may not.
        """
        needed = NEEDED[call]
        if not self.proven:
            raise UnprovenError(f"{self.name} has no role here: {self.why}")
        if self.role is None:
            raise ForbiddenError(f"{self.name} has no role here: {self.why}")
        if self.role < needed:
            raise ForbiddenError(
                f"{self.name} is {self.role.name.lower()}, and {call} needs the role {needed.name.lower()}"
            )


ByToken = Callable[[Context], Operator | None]
"""Names the caller of a method by the token that it shows; None: it shows none."""


class Operators:
    """Names the operators who call.

    Args:
        certified: every caller has shown a certificate.
        roles: TOML file of roles by name; None: every caller is an administrator.
        by_token: names the caller by the token that it shows, or returns None if it shows none; None: no token counts.
    """

    def __init__(self, *, certified: bool, roles: Path | None, by_token: "ByToken | None" = None) -> None:
        self._certified, self._roles, self._by_token = certified, roles, by_token

    def caller(self, context: Context) -> Operator:
        """Returns the caller of a method. The file of roles is read anew, so a change holds from the next call on."""
        if self._by_token is not None and (bearer := self._by_token(context)) is not None:
            return replace(bearer, proven=bearer.proven or self._certified)
        if not self._certified:
            local = Operator(LOCAL, Role.ADMIN)
            stranger = Operator("a caller without a token", None, "show one", proven=False)
            return local if self._by_token is None else stranger
        shown = context.auth_context() or {}
        names = [value.decode("utf-8", "replace") for value in shown.get("x509_common_name", [])]
        # gRPC gives a name up to its first NUL only. In the subject a NUL is escaped.
        cut = any(b"\\00" in value for value in shown.get("x509_subject", []))
        if len(names) != 1 or not names[0].isprintable() or cut:
            return Operator("a certificate without one printable common name", None)
        name = names[0]
        if name == LOCAL or name.startswith(ACCOUNT):
            return Operator("a certificate whose common name is kept for callers without one", None)
        return Operator(name, Role.ADMIN if self._roles is None else _roles(self._roles).get(name))


def _roles(path: Path) -> dict[str, Role]:
    try:
        return read(path)
    except SettingError as error:
        _log.error("no operator is let through: %s", error)
        return {}


def read(path: Path) -> dict[str, Role]:
    """Reads roles by name from lines of TOML such as `anna = "admin"`.

    Raises:
        SettingError: the file cannot be read, or has something else.
    """
    try:
        entries = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"admin_roles {path} cannot be read: {error}") from error
    known = {role.name.lower(): role for role in Role}
    for name, role in entries.items():
        if not isinstance(role, str) or role not in known:
            raise SettingError(f"admin_roles {path}: {name} has the role {role!r}; there are {', '.join(known)}")
    return {name: known[role] for name, role in entries.items()}
