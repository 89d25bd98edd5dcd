"""The check of the settings of several coordinators on one ledger."""

from ipaddress import ip_address

from coordinator.commands.settings import Settings
from coordinator.errors import LedgerError, SettingError
from coordinator.grpc import peer_tls
from coordinator.store import database
from coordinator.store.lease import LONGEST_ADDRESS
from fedau2.wire import addresses

_FILES = "replica_tls_certificate, replica_tls_key and replica_tls_client_ca"


def check_replica(settings: Settings) -> None:
    """Returns if the settings of several coordinators can be used together.

    Raises:
        SettingError: one is missing, or two contradict each other.
    """
    if settings.replica is None:
        if any(settings.files("replica_tls")):
            raise SettingError("the settings replica_tls_* need replica")
        if settings.objects is not None:
            raise SettingError("objects is for coordinators that take over from one another: it needs replica")
        return
    _check_ledger(settings.database)
    _check_address(settings.replica)
    if settings.audit is not None:
        raise SettingError("audit records the contributions to one coordinator, and replica is for several: unset one")
    if settings.replica_tls is None:
        if not addresses.is_loopback(settings.replica):
            raise SettingError(
                f"replica is {settings.replica}, which is not a loopback address: coordinators must show certificates "
                f"there, so it needs {_FILES}"
            )
        if settings.admin_tls_client_ca or settings.admin_tokens or settings.tls_client_ca:
            raise SettingError(
                "operators or devices show who they are, and a coordinator speaks for them on the address replica: "
                f"coordinators must show certificates there too, so it needs {_FILES}"
            )
        _check_accounts(settings)
        return
    if settings.replica_tls_client_ca is None:
        raise SettingError(
            "replica_tls_certificate is for coordinators that know each other: set replica_tls_client_ca"
        )
    peer_tls.check(settings.replica_tls)


def _check_accounts(settings: Settings) -> None:
    """Returns if no account of this machine can call what the sockets keep from it."""
    kept = {"admin": settings.admin, "listen": settings.listen}
    for name, address in kept.items():
        if address and addresses.unix_path(address) is not None and addresses.unix_path(settings.replica or "") is None:
            raise SettingError(
                f"{name} is a socket of this account alone, and a coordinator speaks for its callers on the address "
                f"replica, which other accounts of this machine can call: make it unix:PATH too, or set {_FILES}"
            )


def _check_ledger(url: str | None) -> None:
    try:
        shared = url is not None and database.parse(url).get_backend_name() == "postgresql"
    except LedgerError as error:
        raise SettingError(f"database is not a URL: {error}") from error
    if not shared:
        raise SettingError(
            "replica needs a ledger that several coordinators can share: set database to one in PostgreSQL. A ledger "
            "in SQLite has one coordinator"
        )


def _check_address(address: str) -> None:
    if len(address.encode()) > LONGEST_ADDRESS:
        raise SettingError(f"replica is {address}: it may have {LONGEST_ADDRESS} bytes; write an IP address")
    if addresses.unix_path(address) is not None:
        return
    host, _ = addresses.served(address)
    try:
        unspecified = ip_address(host).is_unspecified
    except ValueError:
        return
    if unspecified:
        raise SettingError(f"replica is {address}, which others cannot call: name the address of this machine")
