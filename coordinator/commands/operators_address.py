"""The address for operators where none is named: for the coordinator that serves it, and for those who call it.

Every account of a machine can call its loopback. Only the owner of a state folder can call a socket in it.
"""

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.commands.environment import PREFIX
from coordinator.errors import SettingError
from fedau2.wire import addresses
from fedau2.wire.errors import AddressError

if TYPE_CHECKING:
    from coordinator.commands.settings import Settings

TCP = "127.0.0.1:8644"
"""The address of a coordinator whose operators speak TLS, of one of several, and of one that nobody has named."""

_SOCKET, _LOCK = "admin.sock", "admin.lock"


def socket(state: Path) -> str:
    """Returns the address of the socket in a state folder. Its path may be too long."""
    return f"unix:{state.absolute() / _SOCKET}"


def expect_room(settings: "Settings") -> None:
    """Returns if a coordinator can serve operators where its settings say.

    Raises:
        SettingError: the path of the socket in the state folder is too long.
    """
    try:
        addresses.check_served(served(settings))
    except AddressError as error:
        raise SettingError(f"no socket for operators can be in the state folder: {error}; name --admin") from error


def served(settings: "Settings") -> str:
    """Returns the address that a coordinator serves operators on; its settings name the state folder.

    The socket of one coordinator has no place in a folder that several share.
    """
    if settings.admin is not None:
        return settings.admin
    assert settings.state is not None
    return socket(settings.state) if settings.admin_tls is None and settings.replica is None else TCP


@contextmanager
def held(settings: "Settings") -> Iterator[None]:
    """Makes the folder of the default socket, and keeps other coordinators from the socket while the block runs.

    Raises:
        FolderLockedError: another one has it.
    """
    if settings.state is None or served(settings) != socket(settings.state):
        yield
        return
    # Imported here, because the help of other commands needs nothing of the store.
    from coordinator.store.disk import REAL
    from coordinator.store.state_folder import StateFolder, hold

    StateFolder(settings.state).make(REAL)
    with hold((settings.state / _LOCK).open("a")):
        yield


def warning(settings: "Settings") -> str | None:
    """Says who is an administrator besides the coordinator's own account; None: nobody who shows nothing."""
    address = served(settings)
    known = settings.admin_tls_client_ca is not None or settings.admin_tokens is not None
    if known or addresses.unix_path(address) is not None:
        return None
    return (
        f"every account of this machine is an administrator on {address}: make admin a socket (unix:PATH), or let "
        "operators show certificates (admin_tls_client_ca) or tokens (admin_token_keys)"
    )


def called(args: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> str:
    """Returns the address of the coordinator that a command calls.

    Args:
        args: with `admin` and `state`, if they are named.
        environment: variables by name. Those of the settings count that say where `serve` serves operators.
    """
    if args.admin is None and args.state is None:
        admin, state = environment.get(f"{PREFIX}ADMIN"), environment.get(f"{PREFIX}STATE")
        shared = any(environment.get(f"{PREFIX}{name}") for name in ("REPLICA", "ADMIN_TLS_CERTIFICATE"))
        return admin or (socket(Path(state)) if state and not shared else TCP)
    address: str | None = args.admin
    return address or socket(args.state)
