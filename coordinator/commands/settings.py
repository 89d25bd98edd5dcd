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
from coordinator.commands import parsers
from coordinator.commands.environment import PREFIX, variables
from coordinator.engine import kept_models
from coordinator.engine.uploads import MEMORY
from coordinator.errors import SettingError
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
    log_level: str = field(default="INFO", metadata=_of(parsers.level, "LEVEL", "DEBUG, INFO, WARNING or ERROR"))

    def check(self) -> Self:
        """Returns the same settings, if they can be used together.

        Raises:
            SettingError: one is missing, or two contradict each other.
        """
        if self.state is None:
            raise SettingError("state is not set: name the state folder, for example with --state DIR")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingError("tls_certificate and tls_key go together: set both or neither")
        if self.tls_client_ca is not None and self.tls is None:
            raise SettingError("tls_client_ca asks for devices' certificates: it needs tls_certificate and tls_key")
        if self.web_origin and self.web is None:
            raise SettingError("web_origin says whose pages may use the web address: it needs web")
        self._check_addresses()
        if self.tls is not None:
            self.tls.check()
        return self

    @property
    def tls(self) -> Tls | None:
        """The files for TLS on the device address; None: plaintext."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return Tls(self.tls_certificate, self.tls_key, self.tls_client_ca)

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
            if name in ("admin", "metrics"):
                raise SettingError(f"{name} is {address}: it is served on loopback only, in plaintext; use a tunnel")
            if self.tls is None:
                text = f"{name} is {address}, which is not a loopback address: it needs tls_certificate and tls_key"
                raise SettingError(text)


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
            lines.append(f"{name:{width}} = {_masked(_written(value))}  ({source})")
        return lines


def _written(value: object) -> str:
    if isinstance(value, tuple):
        value = ", ".join(value) or None
    return "-" if value is None else str(value)


def _masked(text: str) -> str:
    """Hides the passwords of a URL, before its host and among its options."""
    text = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", text)
    return re.sub(r"([?&][a-z]*password=)[^&]*", r"\1***", text)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for every setting, and `--config`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of settings, by the flags' names")
    for setting in fields(Settings):
        default = "" if setting.default in (None, ()) else f" (default: {setting.default})"
        metavar, text = setting.metadata["metavar"], setting.metadata["help"]
        action = "append" if setting.default == () else "store"
        parser.add_argument(_flag(setting.name), action=action, metavar=metavar, help=f"{text}{default}")


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
    if (
        isinstance(value, list)
        and metadata["parse"] is parsers.origins
        and all(isinstance(each, str) for each in value)
    ):
        value = ",".join(value)
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
