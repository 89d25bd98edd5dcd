"""Settings of `fedau2-coordinator serve`: from a TOML file, the environment and flags; a later source wins."""

import argparse
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any, Self

from coordinator import sockets
from coordinator.commands import setting_types
from coordinator.commands.environment import PREFIX, variables
from coordinator.engine import kept_models
from coordinator.engine.uploads import MEMORY
from coordinator.errors import SettingError
from coordinator.grpc import operators
from coordinator.grpc.tls import Tls
from fedau2.wire import addresses
from fedau2.wire.addresses import check_served
from fedau2.wire.errors import AddressError


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
        default=30.0,
        metadata=_of(setting_types.seconds, "SECONDS", "time that uploads under way have to end after SIGTERM"),
    )
    upload_memory: int = field(
        default=MEMORY,
        metadata=_of(
            setting_types.mebibytes, "MIB", "MiB of contributions that may be on their way in at a time; others wait"
        ),
    )
    keep_checkpoints: int = field(
        default=kept_models.DEFAULT,
        metadata=_of(setting_types.kept, "N", "older models of each task that `rollback` can go back to, 1 to 1000"),
    )
    audit: Path | None = field(
        default=None,
        metadata=_of(
            setting_types.absolute,
            "/DIR",
            "FOR AUDITS ONLY: keep every contribution in the clear in this folder, an absolute path; never with users; "
            "default: nothing is kept",
        ),
    )
    log_level: str = field(default="INFO", metadata=_of(setting_types.level, "LEVEL", "DEBUG, INFO, WARNING or ERROR"))

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
        self._check_addresses()
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
        served = {name: address for name in ("listen", "admin", "metrics") if (address := getattr(self, name))}
        for (name, address), (other, second) in combinations(served.items(), 2):
            if address == second and not address.endswith(":0"):
                raise SettingError(f"{name} and {other} are both {address}: give each an address of its own")
        for name, address in served.items():
            if (path := addresses.unix_path(address)) is not None:
                sockets.check(path)
            if name == "metrics" and not addresses.is_loopback(address):
                raise SettingError(f"{name} is {address}: it is served on loopback only, in plaintext; use a tunnel")
        if self.admin_tls_client_ca is None and not addresses.is_loopback(self.admin):
            raise SettingError(
                f"admin is {self.admin}, which is not a loopback address: operators must show certificates there, so "
                "it needs admin_tls_certificate, admin_tls_key and admin_tls_client_ca; `fedau2-coordinator "
                "certificates` makes them"
            )
        if self.tls is None and not addresses.is_loopback(self.listen):
            raise SettingError(
                f"listen is {self.listen}, which is not a loopback address: it needs tls_certificate and tls_key"
            )


@dataclass(frozen=True)
class Loaded:
    """Settings, and the source of each: "default", a file, a variable or a flag."""

    settings: Settings
    sources: Mapping[str, str]

    def describe(self) -> list[str]:
        """Writes a line per setting. The password of a database URL is masked."""
        width = max(map(len, self.sources))
        lines = []
        for name, source in self.sources.items():
            value = getattr(self.settings, name)
            lines.append(f"{name:{width}} = {'-' if value is None else _masked(str(value))}  ({source})")
        return lines


def _masked(text: str) -> str:
    """Hides the passwords of a URL, before its host and among its options."""
    text = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", text)
    return re.sub(r"([?&][a-z]*password=)[^&]*", r"\1***", text)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for every setting, and `--config`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of settings, by the flags' names")
    for setting in fields(Settings):
        default = "" if setting.default is None else f" (default: {setting.default})"
        metavar, text = setting.metadata["metavar"], setting.metadata["help"]
        parser.add_argument(_flag(setting.name), metavar=metavar, help=f"{text}{default}")


def load(args: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Loaded:
    """Reads the settings from file, environment and flags.

    Args:
        args: parsed by a parser with `add_flags`.
        environment: variables by name.

    Raises:
        SettingError: a setting cannot be used; the text names the file, variable or flag.
    """
    known = {setting.name: setting for setting in fields(Settings)}
    sourced: dict[str, tuple[object, str]] = {}
    if args.config is not None:
        sourced |= {name: (value, f"file {args.config}") for name, value in _file(args.config).items()}
    for variable, text in variables(environment).items():
        sourced[variable.removeprefix(PREFIX).lower()] = (text, f"variable {variable}")
    sourced |= {name: (value, f"flag {_flag(name)}") for name in known if (value := getattr(args, name)) is not None}
    values: dict[str, Any] = {}
    sources = dict.fromkeys(known, "default")
    for name, (value, source) in sourced.items():
        if name not in known:
            raise SettingError(f"{source}: there is no setting {name!r}; there are {', '.join(known)}")
        values[name], sources[name] = _parsed(name, known[name].metadata, value, source), source
    return Loaded(Settings(**values).check(), sources)


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"file {path} cannot be read: {error}") from error


def _parsed(name: str, metadata: Mapping[str, Any], value: object, source: str) -> object:
    wrong = SettingError(f"{source}: {name} must be {metadata['metavar']} ({metadata['help']}), not {value!r}")
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise wrong
    try:
        return metadata["parse"](str(value))
    except AddressError as error:
        raise SettingError(f"{source}: {name} must be {metadata['metavar']}: {error}") from error
    except ValueError as error:
        raise wrong from error


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
