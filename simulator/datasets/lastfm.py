"""Reads LastFM-360K from its files (Celma, Music Recommendation and Discovery, 2010, doi 10.1007/978-3-642-13287-2).

The files are known to hold artists without a MusicBrainz id, users without a gender or with an impossible age, and a
few lines that are not records.
"""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from simulator.datasets import table
from simulator.datasets.attributes import Attribute
from simulator.datasets.dataset import Dataset
from simulator.datasets.ids import Ids
from simulator.datasets.times import FILE_ORDER, ordered
from simulator.errors import DatasetFormatError

NAME = "lastfm-360k"
HOME = "http://ocelma.net/MusicRecommendationDataset/lastfm-360K.html"
PLAYS = "usersha1-artmhid-artname-plays.tsv"
PLAYS_RENAMED = "usersha1-artmbid-artname-plays.tsv"
"""The same file's name in another edition."""
PROFILES = "usersha1-profile.tsv"
USER_CORE, ITEM_CORE = 51, 23
"""The k-core of the published experiments."""

GENDERS = ("M", "F")
AGES = ("under 21", "21 to 25", "26 and over")
_AGE_STARTS = np.array([21, 26])
_OLDEST = 100
TOLERATED = 1e-3
"""Highest share of malformed lines that is skipped with a note."""


def load(folder: Path, encoding: str = "utf-8") -> Dataset:
    """Reads both files (plain or .gz) in bounded memory. Users need a gender and an age from 0 to 100.

    An artist is identified by its MusicBrainz id or, if it has none, by its name. The files have no times; their order
    is used instead.

    Args:
        folder: holds the files.
        encoding: of the files, as Python names it.

    Raises:
        DatasetError: a file is missing or damaged, lists a user twice, or has more malformed lines than tolerated; the
            text names file and line.
    """
    ids, gender, age, bad_profiles = _profiles(folder, encoding)
    known, items = Ids(ids), Ids()
    users, artists, malformed, lines = [], [], list[int](), 0
    plays = PLAYS_RENAMED if any((folder / f"{PLAYS_RENAMED}{suffix}").is_file() for suffix in ("", ".gz")) else PLAYS
    for block in table.read(folder, plays, ["user", "mbid", "artist", "plays"], "\t", encoding=encoding):
        named = block.matches("mbid", "^.") | block.matches("artist", "^.")
        good = block.where(block.matches("plays", table.WHOLE) & block.matches("user", "^.") & named)
        malformed += good.malformed
        lines += len(good.lines) + len(good.malformed)
        user = known.find(good.columns["user"])
        artist = pc.if_else(pc.equal(good.columns["mbid"], b""), good.columns["artist"], good.columns["mbid"])
        users.append(user[user >= 0])
        artists.append(items.add(artist.filter(user >= 0)))
    notes = (FILE_ORDER, *bad_profiles, *_tolerate(plays, malformed, lines))
    if not len(items):
        raise DatasetFormatError(f"{plays} has no user with a gender and an age")
    history = ordered(np.concatenate(users), np.concatenate(artists))
    attributes = {"gender": Attribute(GENDERS, gender), "age": Attribute(AGES, age)}
    texts = [identifier.decode() for identifier in ids]
    return Dataset(NAME, texts, items.texts(), *history, attributes, notes)


def _profiles(folder: Path, encoding: str) -> tuple[list[bytes], NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    ids: dict[bytes, tuple[int, int]] = {}
    listed = Ids()
    malformed, lines, left_out = list[int](), 0, 0
    for block in table.read(folder, PROFILES, ["user", "gender", "age", "", ""], "\t", encoding=encoding):
        good = block.where(block.matches("user", "^."))
        malformed += good.malformed
        lines += len(good.lines) + len(good.malformed)
        listed.add_once(good, "user")
        usable = good.where(good.matches("gender", "^[mf]$") & good.matches("age", "^[0-9]{1,3}$"))
        ages = usable.integers("age")
        left_out += len(good.lines) - len(usable.lines) + int((ages > _OLDEST).sum())
        women = usable.matches("gender", "f").astype(np.int64)
        for user, gender, age in zip(usable.columns["user"].to_pylist(), women, ages, strict=True):
            if age <= _OLDEST:
                ids[user] = (int(gender), int(np.searchsorted(_AGE_STARTS, age, "right")))
    notes = _tolerate(PROFILES, malformed, lines)
    if not ids:
        raise DatasetFormatError(f"{PROFILES} has no user with a gender and an age")
    labels = np.array(list(ids.values()), np.int64)
    if left_out:
        notes = (f"{left_out:,} users without a gender or a possible age are left out", *notes)
    return list(ids), labels[:, 0], labels[:, 1], notes


def _tolerate(name: str, malformed: list[int], lines: int) -> tuple[str, ...]:
    if len(malformed) > max(10, TOLERATED * lines):
        raise DatasetFormatError(
            f"{name}, line {malformed[0]}: the line is malformed, one of {len(malformed):,} among {lines:,} lines: is "
            "this another data set?"
        )
    return (
        (f"{name}: {len(malformed):,} malformed lines are left out, the first is line {malformed[0]}",)
        if malformed
        else ()
    )
