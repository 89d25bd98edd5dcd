"""The methods of a client by which an app recommends, scores and explains, and excludes items."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from client_sdk import arguments, interactions
from client_sdk.core import ClientCore
from client_sdk.errors import UsageError
from client_sdk.onnx.ranking import Choice
from client_sdk.store.sqlite_store import SqliteStore


@dataclass(frozen=True)
class Recommendation:
    """A recommended item.

    >>> Recommendation("movie-7", 1.5).item
    'movie-7'

    Attributes:
        item: its id in the catalogue.
        score: the model's score and the app's boost, higher is better; comparable within one list only.
    """

    item: str
    score: float


@dataclass(frozen=True)
class Reason:
    """A recorded item that the model holds similar to a recommended one. It is a similarity, and need not be a cause.

    >>> Reason("movie-7", 0.8).item
    'movie-7'

    Attributes:
        item: its id in the catalogue.
        similarity: the cosine of the two items' vectors in the model, from -1 to 1.
    """

    item: str
    similarity: float


class Recommending:
    """The part of `FedClient` that uses the model."""

    _core: ClientCore
    _store: SqliteStore

    def recommend(
        self,
        k: int = 10,
        where: Callable[[str], bool] | None = None,
        *,
        candidates: Iterable[str] | None = None,
        seen: bool = False,
        boost: Callable[[str], float] | None = None,
        diversity: float = 0.0,
        tags: Mapping[str, Collection[str]] | None = None,
    ) -> list[Recommendation]:
        """Returns the user's best items that are not recorded, best first, offline from the newest model on the device.

        Items that are excluded or disliked are left out of every list.

        Args:
            k: number of items; the list is shorter if fewer items are left.
            where: the app's own filter. It is called with each id of the catalogue, or with the candidates, and returns
                True if the item may be recommended. An exception that it raises is raised here.
            candidates: ids of the only items that may be recommended; those that the catalogue does not list are left
                out, and one that is named twice counts once. None: the whole catalogue.
            seen: True to recommend recorded items too.
            boost: called with each id that may be recommended; the finite number that it returns is added to the score.
                An exception that it raises is raised here.
            diversity: from 0 to below 1: how much an item loses by its similarity to those before it in the list, which
                is then in the order of choice.
            tags: tags of items by id; similarity is then the share of tags in common. None: similarity is that of the
                items' vectors in the model.

        Raises:
            NoModelError: there is no model yet.
            UnsupportedTaskError: the model cannot be run here.
            UntrustedTaskError: the model is not signed by one of the publishers.
            UsageError: an argument has a wrong type or value, or `boost` returned no finite number.
        """
        number = arguments.number("k", k)
        for name, function in (("where", where), ("boost", boost)):
            if function is not None:
                arguments.function(name, function)
        if not isinstance(seen, bool):
            raise UsageError(f"seen must be True or False, not {seen!r}")
        share = arguments.real("diversity", diversity)
        if not 0 <= share < 1:
            raise UsageError(f"diversity must be a number from 0 to below 1, not {diversity!r}")
        if tags is not None and not (isinstance(tags, Mapping) and share):
            raise UsageError("tags must be a mapping of ids to tags, and have no effect without diversity")
        only = None if candidates is None else frozenset(interactions.names("candidates", candidates))
        choice = Choice(where, only, seen, boost, share, tags)
        return [Recommendation(item, score) for item, score in self._core.serving.recommend(number, choice)]

    def score(self, items: str | Iterable[str]) -> dict[str, float]:
        """Returns the model's scores of items for this user, by id, offline. Recorded and excluded items have one too.

        A call costs about a third more than `recommend(10)`, however many items it names.

        Args:
            items: an id or several. An id that the catalogue does not list is left out of the result.

        Raises:
            UsageError: the items are not ids.
            NoModelError, UnsupportedTaskError, UntrustedTaskError: as for `recommend`.
        """
        return self._core.serving.scores(interactions.names("items", items))

    def explain(self, item: str, k: int = 3) -> list[Reason]:
        """Returns the recorded items that are most similar to an item by the model's own vectors, nearest first.

        The first call after a new model has arrived reads its checkpoint, and keeps the vectors in memory.

        Args:
            item: its id. For an item that the catalogue does not list, the list is empty.
            k: number of items; the list is shorter if the user has chosen fewer.

        Raises:
            UsageError: an argument has a wrong type or value.
            NoModelError, UnsupportedTaskError, UntrustedTaskError: as for `recommend`.
        """
        name, number = arguments.item(item), arguments.number("k", k)
        return [Reason(near, cosine) for near, cosine in self._core.serving.nearest(name, number)]

    def exclude(self, items: str | Iterable[str]) -> None:
        """Leaves items out of every list from now on, also after a restart, until `include` is called.

        Args:
            items: an id or several, which need not be in the catalogue. An item may be excluded again.

        Raises:
            UsageError: the items are not ids; none was excluded.
            StoreError: more than 100,000 items would be excluded, or the disk is full; none was excluded.
        """
        self._store.excluded.add(interactions.names("items", items))

    def include(self, items: str | Iterable[str]) -> None:
        """Ends the exclusion of items, and leaves no trace of it in the files.

        Args:
            items: an id or several. Those that are not excluded stay as they are.

        Raises:
            UsageError: the items are not ids.
        """
        self._store.excluded.remove(interactions.names("items", items))

    def excluded(self) -> tuple[str, ...]:
        """Returns the excluded items, sorted by id."""
        return self._store.excluded.all()
