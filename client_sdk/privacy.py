"""Reports, exports and removes the user's data on this device: `FedClient.privacy`."""

from dataclasses import dataclass
from typing import Any

from client_sdk import arguments
from client_sdk.scheduling.syncing import Syncs
from client_sdk.store.departures import Departure
from client_sdk.store.personal import PersonalData
from client_sdk.store.sqlite_store import SqliteStore


@dataclass(frozen=True)
class PrivacyReport:
    """The data that has left the device, and what an attacker can infer from it. `str()` gives a text for people.

    >>> report = PrivacyReport(interactions=2, attributes=("gender",), departures=())
    >>> print(report)
    On this device: 2 interactions; attributes: gender.
    No contribution is remembered to have left it.

    Attributes:
        interactions: number of interactions that are kept on the device.
        attributes: names of the attributes that are known on the device.
        departures: the last thousand contributions, newest first.
    """

    interactions: int
    attributes: tuple[str, ...]
    departures: tuple[Departure, ...]

    @property
    def exposed(self) -> dict[str, int]:
        """Number of contributions that may have reached the coordinator, by attribute that they reveal."""
        names = [name for departure in self._sent for name in departure.attributes]
        return {name: names.count(name) for name in sorted(set(names))}

    @property
    def _sent(self) -> list[Departure]:
        return [departure for departure in self.departures if departure.outcome != "refused"]

    def __str__(self) -> str:
        sent = self._sent
        known = ", ".join(self.attributes) or "none"
        lines = [f"On this device: {self.interactions} interactions; attributes: {known}."]
        if not sent:
            return "\n".join([*lines, "No contribution is remembered to have left it."])
        kilobytes = sum(departure.size for departure in sent) / 1000
        lines.append(
            f"Contributions that left it: {len(sent)} ({kilobytes:.0f} kB), the last on {sent[0].time:%Y-%m-%d}. "
            "From each, the coordinator can see which items were recorded, among random others, and compute the "
            "user's vectors."
        )
        lines += [
            f"{count} of them were trained against {name}, and reveal it: with certainty after some tens of them."
            for name, count in self.exposed.items()
        ]
        return "\n".join(lines)


class Privacy:
    """The user's rights on this device. Methods may be called from any thread and raise `StoreError` like the client's.

    Args:
        store: the client's state.
        syncs: the client's syncs. Removing data waits for a sync under way, which could put the data back.
    """

    def __init__(self, store: SqliteStore, syncs: Syncs) -> None:
        self._store, self._syncs = store, syncs
        self._personal = PersonalData(store)

    def report(self) -> PrivacyReport:
        """Returns what has left the device, and what an attacker can infer from it."""
        with self._store.held():
            return PrivacyReport(self._store.recorded(), self._store.attribute_names(), self._personal.departures())

    def export_data(self) -> dict[str, Any]:
        """Returns everything that is kept about the user, as plain values that `json.dumps` takes.

        Three things are left out. The secret key says nothing about the user, and could undo the noise of
        contributions. The optimizer's state belongs to the vectors. `FedClient.status` has the time of the last sync.

        Returns:
            A dictionary with these keys:

            * `interactions`: oldest first.
            * `attributes`: values by name.
            * `vectors`: values by task and tensor, as contributions start from them.
            * `personal_vectors`: the same as personal steps have made them.
            * `contributions`: newest first.
            * `unanswered`: number of bytes whose upload has not been answered.
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
        too, so that no round counts this device twice. Data that has been uploaded cannot be taken back. Old bytes are
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
