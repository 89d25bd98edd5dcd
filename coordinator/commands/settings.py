"""The settings of `fedau2-coordinator serve`, and the check that they can be used together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Self

from coordinator import sockets
from coordinator.commands import parsers
from coordinator.engine import kept_models
from coordinator.engine.uploads import MEMORY
from coordinator.errors import SettingError
from coordinator.grpc import operators, unmasker_client
from coordinator.grpc.tls import Tls
from coordinator.grpc.unmasker_client import ClientTls
from fedau2.wire import addresses
from fedau2.wire.addresses import check_served


def _of(parse: Callable[[str], Any], metavar: str, text: str) -> dict[str, Any]:
    return {"parse": parse, "metavar": metavar, "help": text}


@dataclass(frozen=True)
class Settings:
    """The settings of `serve`. The metadata of a field says what it is for."""

    state: Path | None = field(
        default=None, metadata=_of(Path, "DIR", "folder of everything that must survive a restart; made if missing")
    )
    listen: str = field(default="127.0.0.1:8643", metadata=_of(check_served, "HOST:PORT", "address for devices"))
    admin: str = field(
        default="127.0.0.1:8644",
        metadata=_of(check_served, "HOST:PORT", "address for operators, never for devices"),
    )
    database: str | None = field(
        default=None, metadata=_of(str, "URL", "SQLAlchemy URL of the ledger; default: SQLite in the state folder")
    )
    tls_certificate: Path | None = field(
        default=None, metadata=_of(Path, "FILE", "PEM certificate chain of the device address")
    )
    tls_key: Path | None = field(default=None, metadata=_of(Path, "FILE", "PEM key of the certificate"))
    tls_client_ca: Path | None = field(
        default=None,
        metadata=_of(
            Path, "FILE", "PEM authorities that sign devices' certificates, which are then required; default: not asked"
        ),
    )
    admin_tls_certificate: Path | None = field(
        default=None, metadata=_of(Path, "FILE", "PEM certificate chain of the operators' address")
    )
    admin_tls_key: Path | None = field(default=None, metadata=_of(Path, "FILE", "PEM key of that certificate"))
    admin_tls_client_ca: Path | None = field(
        default=None,
        metadata=_of(Path, "FILE", "PEM authorities that sign operators' certificates, which are then required"),
    )
    admin_roles: Path | None = field(
        default=None,
        metadata=_of(
            Path, "FILE", "TOML file of operators' roles by their certificates' names; default: all are administrators"
        ),
    )
    metrics: str | None = field(
        default=None,
        metadata=_of(check_served, "HOST:PORT", "address of /metrics and /healthz; default: not served"),
    )
    drain: float = field(
        default=30.0, metadata=_of(parsers.seconds, "SECONDS", "time that uploads under way have to end after SIGTERM")
    )
    upload_memory: int = field(
        default=MEMORY,
        metadata=_of(
            parsers.mebibytes, "MIB", "MiB of contributions that may be on their way in at a time; others wait"
        ),
    )
    keep_checkpoints: int = field(
        default=kept_models.DEFAULT,
        metadata=_of(parsers.kept, "N", "older models of each task that `rollback` can go back to, 1 to 1000"),
    )
    audit: Path | None = field(
        default=None,
        metadata=_of(
            parsers.absolute,
            "/DIR",
            "FOR AUDITS ONLY: keep every contribution in the clear in this folder, an absolute path; never with users; "
            "default: nothing is kept",
        ),
    )
    web: str | None = field(
        default=None,
        metadata=_of(check_served, "HOST:PORT", "address for devices in browsers, over HTTP; default: not served"),
    )
    web_origin: tuple[str, ...] = field(
        default=(),
        metadata=_of(
            parsers.origins,
            "ORIGIN",
            "origin of the pages that may use the web address, for example https://shop.example.com, or * for every "
            "page; may be given several times; default: none",
        ),
    )
    unmasker: str | None = field(
        default=None,
        metadata=_of(addresses.check, "HOST:PORT", "address of the unmasker for coordinators; default: no secure sums"),
    )
    unmasker_key: Path | None = field(
        default=None,
        metadata=_of(Path, "FILE", "PEM identity key of the unmasker, as `fedau2-unmasker init` prints it"),
    )
    unmasker_tls_ca: Path | None = field(
        default=None,
        metadata=_of(Path, "FILE", "PEM authorities of the unmasker's certificate; default: those of the system"),
    )
    unmasker_tls_certificate: Path | None = field(
        default=None, metadata=_of(Path, "FILE", "PEM certificate chain that is shown to the unmasker")
    )
    unmasker_tls_key: Path | None = field(default=None, metadata=_of(Path, "FILE", "PEM key of that certificate"))
    log_level: str = field(default="INFO", metadata=_of(parsers.level, "LEVEL", "DEBUG, INFO, WARNING or ERROR"))
    log_format: str = field(
        default="text", metadata=_of(parsers.log_format, "FORMAT", "text, or json: one object a line")
    )

    def check(self) -> Self:
        """Returns the same settings, if they can be used together.

        Raises:
            SettingError: one is missing, or two contradict each other.
        """
        if self.state is None:
            raise SettingError("state is not set: name the state folder, for example with --state DIR")
        for prefix in ("tls", "admin_tls"):
            self._check_files(prefix)
        if self.admin_roles is not None and self.admin_tls_client_ca is None:
            raise SettingError("admin_roles names operators by their certificates: it needs admin_tls_client_ca")
        if self.web_origin and self.web is None:
            raise SettingError("web_origin says whose pages may use the web address: it needs web")
        self._check_addresses()
        self._check_unmasker()
        for tls in (self.tls, self.admin_tls):
            if tls is not None:
                tls.check()
        if self.admin_roles is not None:
            operators.read(self.admin_roles)
        return self

    def _check_files(self, prefix: str) -> None:
        certificate, key, authorities = self._files(prefix)
        if (certificate is None) != (key is None):
            raise SettingError(f"{prefix}_certificate and {prefix}_key go together: set both or neither")
        if authorities is not None and certificate is None:
            raise SettingError(
                f"{prefix}_client_ca asks for callers' certificates: it needs {prefix}_certificate and {prefix}_key"
            )

    def _check_unmasker(self) -> None:
        if (self.unmasker is None) != (self.unmasker_key is None):
            raise SettingError("unmasker and unmasker_key go together: set both or neither")
        if (self.unmasker_tls_certificate is None) != (self.unmasker_tls_key is None):
            raise SettingError("unmasker_tls_certificate and unmasker_tls_key go together: set both or neither")
        if self.unmasker is None or self.unmasker_key is None:
            if self.unmasker_tls_ca is not None or self.unmasker_tls_certificate is not None:
                raise SettingError("the settings unmasker_tls_* need unmasker and unmasker_key")
            return
        if self.audit is not None:
            raise SettingError("audit records contributions, and unmasker is for those that nobody may read: unset one")
        unmasker_client.identity(self.unmasker_key)
        if (tls := self.unmasker_tls) is not None:
            tls.credentials()

    @property
    def unmasker_tls(self) -> ClientTls | None:
        """The files for TLS to the unmasker; None: plaintext, which stays within this machine."""
        files = (self.unmasker_tls_ca, self.unmasker_tls_certificate, self.unmasker_tls_key)
        plain = self.unmasker is None or addresses.is_loopback(self.unmasker)
        return None if plain and files == (None, None, None) else ClientTls(*files)

    @property
    def tls(self) -> Tls | None:
        """The files for TLS on the device address; None: plaintext."""
        return self._tls("tls")

    @property
    def admin_tls(self) -> Tls | None:
        """The files for TLS on the operators' address; None: plaintext."""
        return self._tls("admin_tls")

    def _files(self, prefix: str) -> list[Path | None]:
        return [getattr(self, f"{prefix}_{part}") for part in ("certificate", "key", "client_ca")]

    def _tls(self, prefix: str) -> Tls | None:
        certificate, key, authorities = self._files(prefix)
        return None if certificate is None or key is None else Tls(certificate, key, authorities, prefix)

    def _check_addresses(self) -> None:
        names = ("listen", "admin", "metrics", "web")
        served = {name: address for name in names if (address := getattr(self, name))}
        for (name, address), (other, second) in combinations(served.items(), 2):
            if address == second and not address.endswith(":0"):
                raise SettingError(f"{name} and {other} are both {address}: give each an address of its own")
        for name, address in served.items():
            if (path := addresses.unix_path(address)) is not None:
                sockets.check(path)
            if addresses.is_loopback(address):
                continue
            if name == "metrics":
                raise SettingError(f"{name} is {address}: it is served on loopback only, in plaintext; use a tunnel")
            if name == "admin" and self.admin_tls_client_ca is None:
                raise SettingError(
                    f"admin is {address}, which is not a loopback address: operators must show certificates there, so "
                    "it needs admin_tls_certificate, admin_tls_key and admin_tls_client_ca; `fedau2-coordinator "
                    "certificates` makes them"
                )
            if name in ("listen", "web") and self.tls is None:
                text = f"{name} is {address}, which is not a loopback address: it needs tls_certificate and tls_key"
                raise SettingError(text)
