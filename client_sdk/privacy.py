"""Reports, exports and removes the user's data on this device: `FedClient.privacy`."""

from collections.abc import Callable
from typing import Any

from client_sdk import arguments
from client_sdk.reporting.report import PrivacyReport
from client_sdk.reporting.statements import Statement
from client_sdk.scheduling.syncing import Syncs
from client_sdk.store.personal import PersonalData
from client_sdk.store.sqlite_store import SqliteStore


class Privacy:
    """The user's rights on this device. Methods may be called from any thread and raise `StoreError` like the client's.

    Args:
        store: the client's state.
        syncs: the client's syncs. Removing data waits for a sync under way, which could put the data back.
        measures: returns the measures that are in force.
    """

    def __init__(self, store: SqliteStore, syncs: Syncs, measures: Callable[[], tuple[Statement, ...]]) -> None:
        self._store, self._syncs, self._measures = store, syncs, measures
        self._personal = PersonalData(store)

    def report(self) -> PrivacyReport:
        """Returns what is on the device, what has left it, what can be worked out from that, and what protects it."""
        measures = self._measures()
        with self._store.held():
            return PrivacyReport(
                self._store.recorded(),
                self._store.attribute_names(),
                self._personal.departures(),
                self._personal.trained(),
                measures,
                self._store.identities.count(),
            )

    def export_data(self) -> dict[str, Any]:
        """Returns everything that is kept about the user, as plain values that `json.dumps` takes.

        Three things are left out. The secret key says nothing about the user, and could undo the noise of
        contributions. The optimizer's state belongs to the vectors. `FedClient.status` has the time of the last sync.

        Returns:
            A dictionary with these keys:

            * `interactions`: oldest first.
            * `excluded`: ids, sorted.
            * `attributes`: values by name.
            * `vectors`: values by task and tensor, as contributions start from them.
            * `personal_vectors`: the same as personal steps have made them.
            * `contributions`: newest first.
            * `unanswered`: number of bytes whose upload has not been answered.
            * `enrolments`: the pseudonyms by which unmaskers know this device, without its keys.
        """
        return self._personal.export()

    def forget_attribute(self, name: str) -> None:
        """Removes an attribute's value and everything on this device that was trained with it.

        Unlearning can write an attribute into the vectors that it should remove it from. So the user's vectors start
        again from their initial values, and are trained again from the interactions, which stay. A contribution whose
        upload is unanswered is withdrawn. Data that has been uploaded cannot be taken back. If nothing was trained with
        the attribute, the vectors stay.

        Raises:
            UsageError: called by an event's callback, or the name is not a string.
        """
        name = arguments.text("name", name)
        with self._syncs.alone():
            self.forget_attribute_alone(name)

    def forget_attribute_alone(self, name: str) -> None:
        """As `forget_attribute`, for a caller that keeps syncs out by itself."""
        self._personal.forget_attribute(name)

    def delete_data(self) -> None:
        """Removes everything about the user from this device. The client is then as new, with another secret key.

        The model stays, because it is the same for everybody. The number of the last round with a contribution stays
        too, so that no round counts this device twice, and so does the number of masked contributions under each noise,
        so that the report's epsilon is never too low. Data that has been uploaded cannot be taken back. Old bytes are
        overwritten in the files, but a file system or a flash drive may keep copies that no program reaches. If the
        process dies during the removal, the next opening completes it.

        Raises:
            UsageError: called by an event's callback.
            StoreError: the disk is full, or another program reads the database: remove the folder instead.
        """
        with self._syncs.alone():
            self.delete_data_alone()

    def delete_data_alone(self) -> None:
        """As `delete_data`, for a caller that keeps syncs out by itself."""
        self._syncs.forget()
        self._personal.delete()
