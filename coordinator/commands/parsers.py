"""Parsers of the values of settings. Each raises a `ValueError` for any other text."""

import math
import re
from pathlib import Path
from urllib.parse import urlsplit

from fedau2 import logs
from fedau2.wire import addresses

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._~\[\]:-]+")

_USUAL = re.compile(r"^(https(?=.*:443$)[^,]*|http(?=:.*:80$)[^,]*):\d+$")
"""An origin with the usual port of its scheme, which browsers leave out."""


def seconds(text: str) -> float:
    """Less than a day, in seconds."""
    seconds = float(text)
    if not 0 <= seconds < 86400:
        raise ValueError(text)
    return seconds


def lease(text: str) -> float:
    """From two seconds to an hour."""
    seconds = float(text)
    if not 2 <= seconds <= 3600:
        raise ValueError(text)
    return seconds


def mebibytes(text: str) -> int:
    """At least 1."""
    mebibytes = int(text)
    if mebibytes < 1:
        raise ValueError(text)
    return mebibytes


def kept(text: str) -> int:
    """A number from 1 to 1000."""
    number = int(text)
    if not 1 <= number <= 1000:
        raise ValueError(text)
    return number


def absolute(text: str) -> Path:
    """An absolute path."""
    path = Path(text)
    if not path.is_absolute():  # a word such as "off" must not be taken for a folder to record into
        raise ValueError(text)
    return path


def collector(text: str) -> str:
    """A URL with https, or with http within this machine."""
    parts = urlsplit(text)
    port = f":{parts.port}" if parts.port else ":4318"
    within = bool(parts.hostname) and addresses.is_loopback(f"{parts.hostname}{port}")
    more = parts.query or parts.fragment or "@" in parts.netloc
    if not parts.hostname or more or parts.scheme not in ("http", "https"):
        raise ValueError(text)
    if parts.scheme == "http" and not within:
        raise ValueError(text)
    return text


def level(text: str) -> str:
    """The name of a level of logs."""
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(text)
    return text.upper()


def log_format(text: str) -> str:
    """The name of a format of logs."""
    if text not in logs.FORMATS:
        raise ValueError(text)
    return text


def origins(text: str) -> tuple[str, ...]:
    """Origins of pages, with commas between them; or `*` alone, for every page."""
    names = tuple(_USUAL.sub(r"\1", part.strip().lower().removesuffix("/")) for part in text.split(","))
    if names != ("*",) and not all(_ORIGIN.fullmatch(name) for name in names):
        raise ValueError(text)
    return names


def admissions(text: str) -> str:
    """Reads a kind of evidence for admissions.

    Raises:
        ValueError: there is no such kind.
    """
    if text not in ("open", "token", "certificate"):
        raise ValueError(text)
    return text


def limit(text: str) -> float:
    """Reads a number from 0 up.

    Raises:
        ValueError: it is not one.
    """
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError(text)
    return value


def whole_limit(text: str) -> int:
    """Reads a whole number from 0 to a million.

    Raises:
        ValueError: it is not one.
    """
    value = int(text)
    if not 0 <= value <= 1_000_000:
        raise ValueError(text)
    return value
