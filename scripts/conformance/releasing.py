"""Vectors of releases: bundles that come to one device one after the other, and which of them it refuses."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from client_sdk.errors import FedError
from client_sdk.protocol.releases import Releases
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1.task_pb2 import Release, TaskManifest
from scripts.conformance.arrays import Json, data

_NOW = 1_900_000_000
_FIRST, _SECOND = bytes(32), bytes(range(32))
_Step = tuple[bytes, Release | None, int]
"""The publisher, what it signed, and the device's time."""


def vectors() -> Iterator[Json]:
    """Yields the stories of devices."""
    for name, (required, steps) in _stories().items():
        with TemporaryDirectory() as folder, closing(SqliteStore(Path(folder))) as store:
            yield {"name": name, "population": "films", "required": required, "steps": [*_run(store, required, steps)]}


def _run(store: SqliteStore, required: bool, steps: list[_Step]) -> Iterator[Json]:
    for publisher, release, now in steps:
        releases = Releases("films", store.releases, required, lambda now=now: now)  # type: ignore[misc] # of this step
        task, error = TaskManifest(release=release), None
        try:
            releases.expect(task, publisher)
        except FedError as refusal:
            error = type(refusal).__name__
        signed = data(task.SerializeToString(deterministic=True))
        yield {"publisher": publisher.hex(), "manifest": signed, "time": now, "error": error}


def _stories() -> dict[str, tuple[bool, list[_Step]]]:
    def step(sequence: int, issued: int = 0, ends: int | None = None, now: int = 0, by: bytes = _FIRST) -> _Step:
        release = Release(population="films", sequence=sequence, issued=_NOW + issued)
        if ends is not None:
            release.expires = _NOW + ends
        return by, release, _NOW + now

    bare, other = (_FIRST, None, _NOW), (_FIRST, Release(population="shoes", sequence=9, issued=_NOW), _NOW)
    end = 2**53 - 1
    return {
        "sequence numbers do not fall": (False, [step(7), step(6), step(7), step(8), step(7)]),
        "each publisher has its own": (False, [step(7), step(3, by=_SECOND), step(6), step(2, by=_SECOND)]),
        "another population leaves no trace": (False, [other, step(1)]),
        "without a release, until one was seen": (False, [bare, step(1), bare, (_SECOND, None, _NOW)]),
        "without a release, where one is required": (True, [bare, step(1)]),
        "clocks may be late": (False, [step(1, issued=300), step(2, issued=301), step(1)]),
        "clocks may be early": (False, [step(3, ends=9, now=308), step(3, ends=9, now=309)]),
        "what is over stays over": (False, [step(3, ends=9, now=309), step(3, ends=9), step(4)]),
        "what was never seen is over too": (False, [step(5, ends=1, now=400), step(5), step(6)]),
        "the future leaves no trace": (False, [step(9, issued=999), step(1)]),
        "the largest number": (False, [step(end, ends=9, now=400), step(end)]),
    }
