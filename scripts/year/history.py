"""Draws the history of a service from MovieLens 100K: catalogues that grow and shrink, and users that come and go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import simulator

NEW, RETIRED = 0.02, 0.01
"""Shares of a catalogue's items that are new, and that retire, in a week."""
EARLY = 3
"""Weeks before its listing from which some users record an item, which their devices do not know yet."""
_EARLY_SHARE, _AT_ONCE, _LEAVING, _HELD = 0.2, 0.5, 0.2, 0.2


@dataclass(frozen=True)
class User:
    """One user.

    Attributes:
        joins: the first week.
        leaves: the first week without the user.
        records: items by the week in which they are recorded.
        held: items that are never recorded, by which recommendations are judged.
    """

    joins: int
    leaves: int
    records: Mapping[int, Sequence[str]]
    held: frozenset[str]

    def there(self, week: int) -> bool:
        """Returns whether the user takes part in a week."""
        return self.joins <= week < self.leaves


@dataclass(frozen=True)
class History:
    """The history of a service.

    Attributes:
        catalogues: the items of each week, in row order.
        listed: the first week of each item.
        users: all users.
    """

    catalogues: Sequence[Sequence[str]]
    listed: Mapping[str, int]
    users: Sequence[User]

    def fresh(self, week: int, newest: int = 8) -> set[str]:
        """Returns the items of a week that have been listed for fewer than `newest` weeks, without the first ones."""
        return {item for item in self.catalogues[week] if self.listed[item] > max(0, week - newest)}


def draw(data: Path, weeks: int, users: int, seed: int) -> History:
    """Draws a history.

    Args:
        data: folder that holds ml-100k.
        weeks: number of catalogues.
        users: number of users, drawn from the data set's.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    dataset = simulator.load_dataset("ml-100k", data)
    catalogues, listed, retired = _catalogues([str(item) for item in rng.permutation(dataset.items)], weeks, rng)
    people = []
    for row in rng.choice(len(dataset.users), users, replace=False):
        items = [dataset.items[item] for item in dataset.item[dataset.user == row]]
        people.append(_user(items, listed, retired, weeks, rng))
    return History(catalogues, listed, people)


def _catalogues(
    items: Sequence[str], weeks: int, rng: np.random.Generator
) -> tuple[list[list[str]], dict[str, int], dict[str, int]]:
    """Draws the catalogue of each week, in an order drawn anew, so that nearly all items are listed at some time."""
    growth = (1 + NEW - RETIRED) ** (weeks - 1)
    first = int(len(items) / (1 + NEW * (growth - 1) / (NEW - RETIRED)))
    waiting, now = list(items[first:]), list(items[:first])
    listed, retired, catalogues = dict.fromkeys(now, 0), dict[str, int](), [now]
    for week in range(1, weeks):
        gone = set(rng.choice(now, round(RETIRED * len(now)), replace=False).tolist())
        come = [waiting.pop() for _ in range(min(len(waiting), round(NEW * len(now))))]
        retired |= dict.fromkeys(gone, week)
        listed |= dict.fromkeys(come, week)
        now = rng.permutation([*(item for item in now if item not in gone), *come]).tolist()
        catalogues.append(now)
    return catalogues, listed, retired


def _user(
    items: Sequence[str], listed: Mapping[str, int], retired: Mapping[str, int], weeks: int, rng: np.random.Generator
) -> User:
    """Draws when a user comes and goes, and in which week each item is recorded: a half of them as soon as possible."""
    joins = max(0, int(rng.integers(-weeks // 2, weeks * 3 // 4)))
    leaves = int(rng.integers(joins + 1, weeks)) if rng.random() < _LEAVING else weeks
    records, held = dict[int, list[str]](), set[str]()
    for item in items:
        if rng.random() < _HELD:
            held.add(item)
            continue
        early = EARLY if rng.random() < _EARLY_SHARE else 0
        first, end = max(joins, listed.get(item, weeks) - early), min(leaves, retired.get(item, weeks))
        if first < end:
            week = first if rng.random() < _AT_ONCE else int(rng.integers(first, end))
            records.setdefault(week, []).append(item)
    return User(joins, leaves, records, frozenset(held))
