"""An object store: S3, or whatever speaks its protocol; a folder for tests. Nothing here knows what the objects mean.

A request that is not answered in time, or with an error of the server, is made again, for a minute at most. So a key
must always stand for the same bytes: a request that was given up may still have its effect, at any time.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit
from uuid import uuid4

from coordinator.errors import ObjectsError, SettingError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

TIMEOUT, CONNECTING = timedelta(seconds=30), timedelta(seconds=5)
"""Most time of one request, and of that the most for a connection."""

PATIENCE = timedelta(seconds=60)
"""Time after which a request is not made again."""

_FIRST, _LONGEST = timedelta(seconds=0.1), timedelta(seconds=5)
"""Time from a request that failed to the next: it doubles from the first to the longest."""

_PIECE = 16 * 2**20
"""Most bytes of one request. Larger objects are sent in several parts, and read in several pieces."""

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Variables that name the address of the store, unless it is Amazon's."""

_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")


class Item(NamedTuple):
    """An object that was listed, and its length in bytes."""

    key: str
    size: int


def check(url: str) -> str:
    """Returns the URL of an object store, if it can be used.

    Raises:
        ValueError: it is not one.
    """
    parts = urlsplit(url)
    folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    bucket = parts.scheme == "s3" and re.fullmatch(r"[a-z0-9.-]+", parts.netloc)
    if not (folder or bucket) or parts.query or parts.fragment:
        raise ValueError(url)
    return url


class Objects:
    """The objects under one URL. May be used from any thread; every method raises `ObjectsError`.

    Args:
        store: of the package obstore.
        url: names it in errors.
    """

    def __init__(self, store: "ObjectStore", url: str) -> None:
        import obstore.exceptions  # here, because it needs the extra `objects`

        self._api, self._store, self._url = obstore, store, url

    @classmethod
    def open(cls, url: str, environment: Mapping[str, str] = os.environ) -> Self:
        """Opens an object store. Its region and credentials are in variables of the environment, such as AWS_REGION.

        Raises:
            SettingError: the package is missing, or the store would be reached without TLS.
            ObjectsError: the store cannot be used in this way.
        """
        plain = _is_plain(environment)
        try:
            from obstore.store import LocalStore, S3Store
        except ImportError as error:
            raise SettingError("objects needs the extra `objects`: pip install 'fedau2[objects]'") from error
        with _explained(url):
            if url.startswith("file:"):
                return cls(LocalStore.from_url(url, mkdir=True, automatic_cleanup=True), url)
            store = S3Store.from_url(
                url,
                disable_bulk_delete=True,  # not every store has it, and its requests may not be repeated
                client_options={"timeout": TIMEOUT, "connect_timeout": CONNECTING, "allow_http": plain},
                retry_config={
                    "max_retries": 100,
                    "backoff": {"base": 2, "init_backoff": _FIRST, "max_backoff": _LONGEST},
                    "retry_timeout": PATIENCE,
                },
            )
            return cls(store, url)

    def probe(self) -> None:
        """Returns if objects can be put, read, listed, copied and removed.

        Raises:
            ObjectsError: they cannot.
        """
        key = f"probe/{uuid4().hex}"
        self.put(key, b"probe")
        self.copy(key, f"{key}-copy")
        listed = [item.key for item in self.list("probe")]
        read = b"".join(self.read(f"{key}-copy", len(b"probe")))
        for made in (key, f"{key}-copy"):
            self.delete(made)
        if read != b"probe" or key not in listed:
            raise ObjectsError(f"the object store {self._url} does not give back what was put there: use another one")

    def put(self, key: str, data: bytes | Path) -> None:
        """Puts an object, which is durable on return. The same bytes may be put again.

        Args:
            key: was never used for other bytes.
            data: the bytes, or a file of them.
        """

        def send() -> None:
            self._api.put(self._store, key, data, chunk_size=_PIECE)

        with _explained(self._url):
            try:
                send()
            except FileNotFoundError:
                send()  # the end of an object in parts, made again because its answer was lost, is not known any more

    def read(self, key: str, size: int) -> Iterator[bytes]:
        """Reads an object of so many bytes, in pieces.

        Raises:
            FileNotFoundError: there is no such object any more.
        """
        for start in range(0, size, _PIECE):
            with _explained(self._url, missing=True):
                piece = bytes(self._api.get_range(self._store, key, start=start, length=min(_PIECE, size - start)))
            yield piece

    def list(self, prefix: str) -> list[Item]:
        """Lists the objects under a prefix, which ends at a slash that is left out."""
        with _explained(self._url):
            pages = self._api.list(self._store, prefix)
            return [Item(entry["path"], entry["size"]) for page in pages for entry in page]

    def copy(self, old: str, new: str) -> None:
        """Copies an object within the store.

        Raises:
            FileNotFoundError: there is no such object any more.
        """
        with _explained(self._url, missing=True):
            self._api.copy(self._store, old, new)

    def delete(self, key: str) -> None:
        """Removes an object. It is not an error if it is not there."""
        end = time.monotonic() + PATIENCE.total_seconds()
        with _explained(self._url, missing=True), suppress(FileNotFoundError):  # a folder says so, and S3 does not
            while True:
                try:
                    return self._api.delete(self._store, key)
                except self._api.exceptions.GenericError:  # the package itself does not repeat what was not answered
                    if time.monotonic() > end:
                        raise
                time.sleep(_FIRST.total_seconds())


@contextmanager
def _explained(url: str, missing: bool = False) -> Iterator[None]:
    """Runs a block that uses a store.

    Args:
        url: of the store.
        missing: an object that is not there is FileNotFoundError.

    Raises:
        ObjectsError: it failed. The text has no credentials, because the store's own has none.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError, PermissionError, ValueError) as error:
        reason = _reason(error)
        if missing and isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
            raise
        raise ObjectsError(
            f"the object store {url} cannot be used: {reason}; check its address, bucket, region, credentials and "
            "rights (put, get, list, delete)"
        ) from error


def _reason(error: Exception) -> str:
    """Returns the first line of an error, and the codes and messages of S3."""
    text = str(error)
    line = text.partition("\n")[0].partition("<?xml")[0].rstrip(" :-")
    said = re.findall(r"<(?:Code|Message)>([^<]*)<", text)
    return ": ".join([line, *said])


def _is_plain(environment: Mapping[str, str]) -> bool:
    """Returns whether the store may be reached without TLS.

    Raises:
        SettingError: it would be, and it is not on this machine; or a variable cannot be used.
    """
    for name, value in environment.items():
        if name.startswith("AWS_") and not value.isprintable():
            raise SettingError(f"the variable {name} has a control character, such as a line feed at its end")
    plain = False
    for name in filter(environment.get, _ENDPOINTS):
        parts = urlsplit(environment[name])
        if parts.username is not None or parts.password is not None:
            raise SettingError(f"the address in {name} has a user or a password: use AWS_ACCESS_KEY_ID and its fellows")
        if parts.scheme == "http":
            _expect_loopback(environment, parts.hostname or "")
            plain = True
    return plain


def _expect_loopback(environment: Mapping[str, str], host: str) -> None:
    if environment.get("AWS_ALLOW_HTTP") != "true" and not _LOOPBACK.fullmatch(host):
        raise SettingError(
            f"the object store is at http://{host}, without TLS: use https, or set AWS_ALLOW_HTTP=true in the "
            "environment if nobody else can listen on the way there"
        )
