"""The methods of a client by which an app records what the user does, and forgets it."""

from collections.abc import Iterable
from datetime import datetime

from client_sdk import interactions
from client_sdk.core import ClientCore
from client_sdk.events import InteractionsDropped
from client_sdk.interactions import VIEW, Kind
from client_sdk.store.personal import PersonalData
from client_sdk.store.sqlite_store import SqliteStore


class Recording:
    """The part of `FedClient` that keeps interactions."""

    _core: ClientCore
    _store: SqliteStore

    def record(
        self,
        item: str,
        time: datetime | None = None,
        *,
        kind: Kind = VIEW,
        weight: float = 1.0,
        value: float | None = None,
    ) -> None:
        """Keeps an interaction of the user with an item, on this device.

        Args:
            item: its id in the catalogue, in one line of at most 1,024 bytes. Every id is kept. An id that the model's
                catalogue does not list has no part in training and recommending until a catalogue lists it;
                `status().unlisted` counts these. Ids are compared byte for byte, also in case and Unicode form.
            time: the time of the interaction, with a time zone; None: now.
            kind: "view", "like", "purchase", "dislike" or "rating". The task's plan says what each counts in training.
                A dislike is never trained on as a choice, and revokes what was recorded of the item until then.
            weight: the app's own, above 0 and at most 1,000,000. A task may use it or not.
            value: the rating, from 0 to 1,000,000; for a rating only.

        Raises:
            UsageError: an argument has a wrong type or value; nothing was recorded.
            StoreError: the interaction could not be kept, for example on a full disk, or because the store is full of
                newer interactions.
        """
        self.record_many([item], None if time is None else [time], kinds=[kind], weights=[weight], values=[value])

    def record_many(
        self,
        items: Iterable[str],
        times: Iterable[datetime] | None = None,
        *,
        kinds: Iterable[Kind] | None = None,
        weights: Iterable[float] | None = None,
        values: Iterable[float | None] | None = None,
    ) -> None:
        """Keeps interactions, on this device: all of them or none. The oldest beyond `max_interactions` are dropped.

        Args:
            items: as for `record`.
            times: as for `record`, one for each item; None: now for all.
            kinds: as for `record`, one for each item; None: all are views.
            weights: as for `record`, one for each item; None: all are 1.
            values: as for `record`, one for each item; None: there are no ratings.

        Raises:
            UsageError: an argument has a wrong type or value; nothing was recorded.
            StoreError: as for `record`; nothing was recorded.
        """
        if dropped := self._store.record_many(interactions.checked(items, times, kinds, weights, values)):
            self._core.events.publish(InteractionsDropped(dropped))

    def forget(self, item: str, time: datetime | None = None) -> int:
        """Removes what is recorded of an item from this device, and leaves no trace of it in the files.

        A contribution whose upload is unanswered is withdrawn. The user's vectors keep what they have learned from the
        item in rounds until they are trained again, and an exclusion of the item stays. The vectors of personal steps
        are removed, and the end of the next sync makes new ones. Data that has been uploaded cannot be taken back. The
        call waits for a sync under way.

        Args:
            item: its id. An item that is not recorded may be forgotten too.
            time: the time of the interaction to remove; None: all of the item are removed.

        Returns:
            The number of interactions that were removed.

        Raises:
            UsageError: an argument has a wrong type or value, or the call comes from an event's callback.
            StoreError: the disk is full, or another program reads the database, so that a trace may be left: call
                again.
        """
        named = interactions.named(item, time)
        with self._core.syncs.alone():
            return PersonalData(self._store).forget_item(*named)
