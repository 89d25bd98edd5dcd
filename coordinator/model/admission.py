"""Admission by version: the versions of the SDK that may take part in a task."""

import re
from dataclasses import dataclass
from typing import Self

from coordinator.errors import InvalidRequestError
from fedau2.v1.task_pb2 import ClientVersions

_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,7}")

Version = tuple[int, ...]


def parse(text: str) -> Version | None:
    """Reads the numbers of a dotted version, without zeros at the end: "1.2" and "1.2.0" are the same.

    Returns None for any other text. A pre-release such as "1.2rc1" is such a text, so it lies in no range.
    """
    if not _VERSION.fullmatch(text):
        return None
    numbers = [int(number) for number in text.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


@dataclass(frozen=True)
class VersionRange:
    """The versions from `minimum` on that lie before `below`. None: the range is open at that end."""

    minimum: Version | None
    below: Version | None

    @classmethod
    def of(cls, versions: ClientVersions) -> Self:
        """Reads an operator's message.

        Raises:
            InvalidRequestError: an end is not a version, or no version lies between the two.
        """
        minimum, below = _end("minimum", versions.minimum), _end("below", versions.below)
        if minimum is not None and below is not None and minimum >= below:
            raise InvalidRequestError(
                f"client versions: no version is at least {versions.minimum} and below {versions.below}"
            )
        return cls(minimum, below)

    def admits(self, text: str) -> bool:
        """Returns whether a device of this version may take part. Any text is admitted where both ends are open."""
        if self.minimum is None and self.below is None:
            return True
        version = parse(text)
        if version is None:
            return False
        return (self.minimum is None or self.minimum <= version) and (self.below is None or version < self.below)


def _end(name: str, text: str) -> Version | None:
    version = parse(text)
    if text and version is None:
        raise InvalidRequestError(f"client versions: {name} {text!r} is not numbers with dots, for example 0.2")
    return version
