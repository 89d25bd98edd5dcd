"""Several users of one device: a folder with a state folder for each."""

import re
from contextlib import closing, suppress
from os import PathLike
from pathlib import Path

from client_sdk import arguments
from client_sdk.errors import StoreError, StoreKeyError, UsageError
from client_sdk.store import folder as state_folder
from client_sdk.store.personal import PersonalData
from client_sdk.store.sqlite_store import SqliteStore

_PREFIX = "profile-"
"""Begins the folders' names, because Windows keeps some bare names for itself."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?")


class Profiles:
    """The profiles of one device. Each is a client of its own: its own interactions, secrets, model and lock.

    Profiles can be open at once. To the coordinator each is a device.

    >>> from tempfile import TemporaryDirectory
    >>> from client_sdk import FedClient
    >>> folder = TemporaryDirectory()
    >>> profiles = Profiles(folder.name)
    >>> with FedClient.open(profiles.folder("kids"), "fed.example.com:443", "movies") as client:
    ...     client.record("movie-1193")
    >>> profiles.names()
    ('kids',)
    >>> profiles.remove("kids")
    >>> profiles.names()
    ()
    >>> folder.cleanup()

    Args:
        root: a folder that only profiles use; it need not exist. It is not a client's own state folder.

    Raises:
        UsageError: it is not the path of a folder.
    """

    def __init__(self, root: str | PathLike[str]) -> None:
        self._root = arguments.folder("root", root)

    def folder(self, name: str) -> Path:
        """Returns the state folder of a profile, which `FedClient.open` makes if it does not exist.

        Args:
            name: 1 to 64 small letters of the Latin alphabet, digits, hyphens and underscores, with a letter or digit
                at both ends. It names a folder, so keep the name that people read elsewhere.

        Raises:
            UsageError: it is another text, which a file system might confuse with another name.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(
                f"a profile's name has 1 to 64 letters from a to z, digits, hyphens and underscores, with a letter or "
                f"digit at both ends: {name!r} has not"
            )
        return self._root / f"{_PREFIX}{name}"

    def names(self) -> tuple[str, ...]:
        """Returns the names of the profiles that have been opened, sorted.

        Raises:
            StoreError: the folder cannot be read.
        """
        try:
            folders = self._root.glob(f"{_PREFIX}*") if self._root.exists() else ()
            opened = (path.name.removeprefix(_PREFIX) for path in folders if (path / state_folder.DATABASE).is_file())
            return tuple(sorted(opened))
        except OSError as error:
            raise StoreError(f"the profiles in {self._root} cannot be read: {error}") from error

    def remove(self, name: str) -> None:
        """Removes a profile with everything in it. Its data is overwritten first, as by `privacy.delete_data`.

        Data that is encrypted with a key is removed without being overwritten, and needs no key for that.

        Raises:
            UsageError: no profile has this name.
            StoreLockedError: the profile is open.
            StoreError: the folder holds files that no client made, which stay; or it cannot be removed.
        """
        path = self.folder(name)
        if name not in self.names():
            raise UsageError(f"no profile is called {name!r}: there is {', '.join(self.names()) or 'none'}")
        with suppress(StoreKeyError), closing(SqliteStore(path)) as store:
            PersonalData(store).delete()
        state_folder.remove(path)
