"""The settings of `fedau2-coordinator serve`. `combinations` checks that they can be used together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coordinator.commands import parsers
from coordinator.evidence.anybody import Anybody
from coordinator.evidence.certificates import Certificates
from coordinator.evidence.provider import Provider
from coordinator.grpc.bearers import TokenRules
from coordinator.grpc.tls import Tls
from coordinator.grpc.unmasker_client import ClientTls
from coordinator.model.defaults import KEPT_MODELS, UPLOAD_MEMORY
from coordinator.model.limits import AddressLimits
from coordinator.store import objects
from fedau2.wire import addresses
from fedau2.wire.addresses import check_served


def _of(parse: Callable[[str], Any], metavar: str, text: str) -> dict[str, Any]:
    return {"parse": parse, "metavar": metavar, "help": text}


def _file(text: str) -> dict[str, Any]:
    return _of(Path, "FILE", text)


@dataclass(frozen=True)
class Settings:
    """The settings of `serve`. The metadata of a field says what it is for."""

    state: Path | None = field(
        default=None, metadata=_of(Path, "DIR", "folder of everything that must survive a restart; made if missing")
    )
    listen: str = field(default="127.0.0.1:8643", metadata=_of(check_served, "HOST:PORT", "address for devices"))
    admin: str | None = field(
        default=None,
        metadata=_of(
            check_served,
            "HOST:PORT",
            "address for operators, never for devices; default: unix:STATE/admin.sock, or 127.0.0.1:8644 with "
            "admin_tls_certificate or replica",
        ),
    )
    database: str | None = field(
        default=None, metadata=_of(str, "URL", "SQLAlchemy URL of the ledger; default: SQLite in the state folder")
    )
    tls_certificate: Path | None = field(default=None, metadata=_file("PEM certificate chain of the device address"))
    tls_key: Path | None = field(default=None, metadata=_file("PEM key of the certificate"))
    admissions: str | None = field(
        default=None,
        metadata=_of(
            parsers.admissions,
            "KIND",
            "evidence with which each identity is admitted once to a round: token, certificate, or open, which stops "
            "nobody; default: none is asked for",
        ),
    )
    admission_token_keys: Path | None = field(
        default=None, metadata=_of(Path, "FILE", "JWKS file of the app's identity service, for admissions by token")
    )
    admission_token_issuer: str | None = field(default=None, metadata=_of(str, "TEXT", "issuer (iss) of users' tokens"))
    admission_token_audience: str | None = field(
        default=None, metadata=_of(str, "TEXT", "audience (aud) of users' tokens for this coordinator alone")
    )
    tls_client_ca: Path | None = field(
        default=None,
        metadata=_file("PEM authorities that sign devices' certificates, which are then required; default: not asked"),
    )
    admin_tls_certificate: Path | None = field(
        default=None, metadata=_file("PEM certificate chain of the operators' address")
    )
    admin_tls_key: Path | None = field(default=None, metadata=_file("PEM key of that certificate"))
    admin_tls_client_ca: Path | None = field(
        default=None, metadata=_file("PEM authorities that sign operators' certificates, which are then required")
    )
    admin_roles: Path | None = field(
        default=None,
        metadata=_of(
            Path, "FILE", "TOML file of operators' roles by their certificates' names; default: all are administrators"
        ),
    )
    admin_token_keys: Path | None = field(
        default=None,
        metadata=_of(
            Path, "FILE", "JWKS file of the identity provider whose tokens operators may show; default: no tokens"
        ),
    )
    admin_token_issuer: str | None = field(default=None, metadata=_of(str, "TEXT", "issuer (iss) of operators' tokens"))
    admin_token_audience: str | None = field(
        default=None, metadata=_of(str, "TEXT", "audience (aud) of operators' tokens for this coordinator alone")
    )
    admin_token_claim: str = field(
        default="fedau2_role", metadata=_of(str, "NAME", "claim of operators' tokens that names the role")
    )
    metrics: str | None = field(
        default=None,
        metadata=_of(check_served, "HOST:PORT", "address of /metrics and /healthz; default: not served"),
    )
    drain: float = field(
        default=30.0, metadata=_of(parsers.seconds, "SECONDS", "time that uploads under way have to end after SIGTERM")
    )
    upload_memory: int = field(
        default=UPLOAD_MEMORY,
        metadata=_of(
            parsers.mebibytes, "MIB", "MiB of contributions that may be on their way in at a time; others wait"
        ),
    )
    address_rate: float = field(
        default=100.0,
        metadata=_of(
            parsers.limit, "NUMBER", "calls a second of one network address, averaged over 10 seconds; 0: any number"
        ),
    )
    address_connections: int = field(
        default=500,
        metadata=_of(
            parsers.whole_limit, "N", "connections of devices that one network address may hold; 0: any number"
        ),
    )
    address_calls: int = field(
        default=500,
        metadata=_of(parsers.whole_limit, "N", "calls that one network address may have under way; 0: any number"),
    )
    address_upload_memory: int = field(
        default=256,
        metadata=_of(
            parsers.whole_limit, "MIB", "MiB of uploads that one network address may have under way; 0: any number"
        ),
    )
    identity_calls: int = field(
        default=60,
        metadata=_of(
            parsers.whole_limit,
            "N",
            "check-ins, fetches and admissions a minute of one identity (certificate or evidence); 0: any number",
        ),
    )
    replica: str | None = field(
        default=None,
        metadata=_of(
            check_served,
            "HOST:PORT",
            "address for the other coordinators of the ledger, which share the folder state; default: none are there",
        ),
    )
    objects: str | None = field(
        default=None,
        metadata=_of(
            objects.check,
            "URL",
            "object store of several coordinators, s3://BUCKET/PREFIX; state is then a folder of this one alone; "
            "default: they share the folder state",
        ),
    )
    replica_lease: float = field(
        default=10.0,
        metadata=_of(
            parsers.lease, "SECONDS", "time after which a leader that the database does not hear is replaced, 2 or more"
        ),
    )
    replica_tls_certificate: Path | None = field(
        default=None, metadata=_file("PEM certificate chain that coordinators show each other")
    )
    replica_tls_key: Path | None = field(default=None, metadata=_file("PEM key of that certificate"))
    replica_tls_client_ca: Path | None = field(
        default=None, metadata=_file("PEM authorities that sign these certificates")
    )
    keep_checkpoints: int = field(
        default=KEPT_MODELS,
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
        metadata=_of(
            addresses.check_port_named, "HOST:PORT", "address of the unmasker for coordinators; default: no secure sums"
        ),
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
    telemetry: str | None = field(
        default=None,
        metadata=_of(
            parsers.collector,
            "URL",
            "OpenTelemetry collector that gets traces and metrics, by OTLP over HTTP, with https beyond this machine; "
            "default: nothing is sent",
        ),
    )
    log_level: str = field(default="INFO", metadata=_of(parsers.level, "LEVEL", "DEBUG, INFO, WARNING or ERROR"))
    log_format: str = field(
        default="text", metadata=_of(parsers.log_format, "FORMAT", "text, or json: one object a line")
    )

    @property
    def unmasker_tls(self) -> ClientTls | None:
        """The files for TLS to the unmasker; None: plaintext, which stays within this machine."""
        files = (self.unmasker_tls_ca, self.unmasker_tls_certificate, self.unmasker_tls_key)
        plain = self.unmasker is None or addresses.is_loopback(self.unmasker)
        return None if plain and files == (None, None, None) else ClientTls(*files)

    @property
    def limits(self) -> AddressLimits:
        """The limits of network addresses."""
        return AddressLimits(self.address_rate, self.address_calls, self.address_upload_memory * 2**20)

    def evidence(self) -> Provider | None:
        """Makes what judges devices' evidence; None: everybody may take part.

        Raises:
            SettingError: the file of keys cannot be used.
        """
        keys, issuer, audience = self.admission_token_keys, self.admission_token_issuer, self.admission_token_audience
        if keys is not None and issuer is not None and audience is not None:
            from coordinator.evidence.tokens import tokens  # here, because it alone needs PyJWT

            return tokens(keys, issuer, audience)
        if self.admissions is None:
            return None
        return Certificates() if self.admissions == "certificate" else Anybody()

    @property
    def tls(self) -> Tls | None:
        """The files for TLS on the device address; None: plaintext."""
        return self._tls("tls")

    @property
    def admin_tokens(self) -> TokenRules | None:
        """The tokens that operators may show; None: no token counts."""
        keys, issuer, audience = self.admin_token_keys, self.admin_token_issuer, self.admin_token_audience
        if keys is None or issuer is None or audience is None:
            return None
        return TokenRules(keys, issuer, audience, self.admin_token_claim)

    @property
    def admin_tls(self) -> Tls | None:
        """The files for TLS on the operators' address; None: plaintext."""
        return self._tls("admin_tls")

    @property
    def replica_tls(self) -> Tls | None:
        """The files that coordinators show each other; None: plaintext, which stays within this machine."""
        return self._tls("replica_tls")

    def files(self, prefix: str) -> list[Path | None]:
        """Returns certificate, key and authorities of an address, by the beginning of the settings' names."""
        return [getattr(self, f"{prefix}_{part}") for part in ("certificate", "key", "client_ca")]

    def _tls(self, prefix: str) -> Tls | None:
        certificate, key, authorities = self.files(prefix)
        return None if certificate is None or key is None else Tls(certificate, key, authorities, prefix)
