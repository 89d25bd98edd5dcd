"""The check that the settings of `fedau2-coordinator serve` can be used together."""

from itertools import combinations

from coordinator import sockets
from coordinator.commands import operators_address
from coordinator.commands.replica_check import check_replica
from coordinator.commands.settings import Settings
from coordinator.errors import SettingError
from coordinator.grpc import operators, unmasker_client
from fedau2.wire import addresses


def check(settings: Settings) -> Settings:
    """Returns the same settings, if they can be used together.

    Raises:
        SettingError: one is missing, or two contradict each other.
    """
    if settings.state is None:
        raise SettingError("state is not set: name the state folder, for example with --state DIR")
    for prefix in ("tls", "admin_tls", "replica_tls"):
        _check_files(settings, prefix)
    if settings.admin_roles is not None and settings.admin_tls_client_ca is None:
        raise SettingError("admin_roles names operators by their certificates: it needs admin_tls_client_ca")
    if settings.web_origin and settings.web is None:
        raise SettingError("web_origin says whose pages may use the web address: it needs web")
    _check_tokens(settings)
    _check_admissions(settings)
    _check_addresses(settings)
    _check_unmasker(settings)
    check_replica(settings)
    for tls in (settings.tls, settings.admin_tls, settings.replica_tls):
        if tls is not None:
            tls.check()
    if settings.admin_roles is not None:
        operators.read(settings.admin_roles)
    return settings


def _check_files(settings: Settings, prefix: str) -> None:
    certificate, key, authorities = settings.files(prefix)
    if (certificate is None) != (key is None):
        raise SettingError(f"{prefix}_certificate and {prefix}_key go together: set both or neither")
    if authorities is not None and certificate is None:
        raise SettingError(
            f"{prefix}_client_ca asks for callers' certificates: it needs {prefix}_certificate and {prefix}_key"
        )


def _check_tokens(settings: Settings) -> None:
    named = (settings.admin_token_keys, settings.admin_token_issuer, settings.admin_token_audience)
    if any(named) and not all(named):
        raise SettingError("admin_token_keys, admin_token_issuer and admin_token_audience go together: set all or none")
    if settings.admin_tokens is None:
        return
    if settings.admin_tls is None:
        raise SettingError(
            "admin_token_keys lets operators show tokens, which go over TLS alone: it needs admin_tls_certificate "
            "and admin_tls_key"
        )
    settings.admin_tokens.bearers()


def _check_admissions(settings: Settings) -> None:
    named = (settings.admission_token_keys, settings.admission_token_issuer, settings.admission_token_audience)
    if any(named) != (settings.admissions == "token") or any(named) != all(named):
        raise SettingError(
            "admissions by token go together with admission_token_keys, admission_token_issuer and "
            "admission_token_audience: set all or none"
        )
    if settings.admissions == "certificate" and settings.tls_client_ca is None:
        raise SettingError("admissions by certificate need tls_client_ca, which signs the devices' certificates")
    settings.evidence()


def _check_unmasker(settings: Settings) -> None:
    if (settings.unmasker is None) != (settings.unmasker_key is None):
        raise SettingError("unmasker and unmasker_key go together: set both or neither")
    if (settings.unmasker_tls_certificate is None) != (settings.unmasker_tls_key is None):
        raise SettingError("unmasker_tls_certificate and unmasker_tls_key go together: set both or neither")
    if settings.unmasker is None or settings.unmasker_key is None:
        if settings.unmasker_tls_ca is not None or settings.unmasker_tls_certificate is not None:
            raise SettingError("the settings unmasker_tls_* need unmasker and unmasker_key")
        return
    if settings.audit is not None:
        raise SettingError("audit records contributions, and unmasker is for those that nobody may read: unset one")
    unmasker_client.identity(settings.unmasker_key)
    if (tls := settings.unmasker_tls) is not None:
        tls.read()


def _check_addresses(settings: Settings) -> None:
    names = ("listen", "admin", "metrics", "web", "replica")
    named = {name: getattr(settings, name) for name in names} | {"admin": operators_address.served(settings)}
    served = {name: address for name, address in named.items() if address}
    for (name, address), (other, second) in combinations(served.items(), 2):
        if address == second and not address.endswith(":0"):
            raise SettingError(f"{name} and {other} are both {address}: give each an address of its own")
    for name, address in served.items():
        if (path := addresses.unix_path(address)) is not None and getattr(settings, name):
            sockets.check(path)
        if addresses.is_loopback(address):
            continue
        if name == "metrics":
            raise SettingError(f"{name} is {address}: it is served on loopback only, in plaintext; use a tunnel")
        if name == "admin" and settings.admin_tls_client_ca is None and settings.admin_tokens is None:
            raise SettingError(
                f"admin is {address}, which is not a loopback address: operators must show certificates there, so "
                "it needs admin_tls_certificate, admin_tls_key and admin_tls_client_ca, which `fedau2-coordinator "
                "certificates` makes; or admin_token_keys, for tokens"
            )
        if name in ("listen", "web") and settings.tls is None:
            text = f"{name} is {address}, which is not a loopback address: it needs tls_certificate and tls_key"
            raise SettingError(text)
