"""What a client knows of its user, what of it has left the device, and how to be rid of it: `FedClient.privacy`."""

from dataclasses import dataclass
from typing import Any

from client_sdk import arguments
from client_sdk.scheduling.syncing import Syncs
from client_sdk.store.departures import Departure
from client_sdk.store.personal import PersonalData
from client_sdk.store.sqlite_store import SqliteStore


@dataclass(frozen=True)
class PrivacyReport:
    """What has left the device, and what can be made of it. `str()` of it is a text for people.

    Attributes:
        interactions: how many are kept on the device.
        attributes: names of those that are known on the device.
        departures: newest first; the last thousand.
    """

    interactions: int
    attributes: tuple[str, ...]
    departures: tuple[Departure, ...]

    @property
    def exposed(self) -> dict[str, int]:
        """Contributions that may have reached the coordinator, by attribute that they tell about."""
        names = [name for each in self.departures if each.outcome != "refused" for name in each.attributes]
        return {name: names.count(name) for name in sorted(set(names))}

    def __str__(self) -> str:
        sent = [each for each in self.departures if each.outcome != "refused"]
        known = ", ".join(self.attributes) or "none"
        lines = [f"On this device: {self.interactions} interactions; attributes: {known}."]
        if not sent:
            return "\n".join([*lines, "No contribution is remembered to have left it."])
        kilobytes = sum(each.size for each in sent) / 1000
        lines.append(
            f"Contributions that left it: {len(sent)} ({kilobytes:.0f} kB), the last on {sent[0].time:%Y-%m-%d}. "
            "From each, the coordinator can tell which items were recorded, among random others, and compute the "
            "user's vectors."
        )
        lines += [
            f"{count} of them were trained against {name}, and tell it: after some tens of them with certainty."
            for name, count in self.exposed.items()
        ]
        return "\n".join(lines)


class Privacy:
    """The user's rights on this device. Methods may be called from any thread and raise `StoreError` like the client's.

    Args:
        store: of the client.
        syncs: of the client. One under way is waited for, so that it does not put back what was removed.
    """

    def __init__(self, store: SqliteStore, syncs: Syncs) -> None:
        self._store, self._syncs = store, syncs
        self._personal = PersonalData(store)

    def report(self) -> PrivacyReport:
        """What has left the device, and what can be made of it."""
        with self._store.held():
            return PrivacyReport(self._store.recorded(), self._store.attribute_names(), self._personal.departures())

    def export_data(self) -> dict[str, Any]:
        """All that is kept about the user, as plain values that `json.dumps` takes.

        Left out are the secret key, which says nothing about the user, and with which the noise of contributions can be
        undone; the optimizer's state beside the vectors; and when the last sync was, which `FedClient.status` tells.

        Returns:
            `interactions`, oldest first; `attributes`; `vectors` by task and tensor; `contributions`, newest first;
            `unanswered`: how many bytes wait for an answer.
        """
        return self._personal.export()

    def forget_attribute(self, name: str) -> None:
        """Removes an attribute's value and what was trained with it here.

        Unlearning can write an attribute into the vectors that it should leave. So the user's vectors start anew, and
        are trained again from the interactions, which stay. A contribution that waits for an answer is withdrawn. What
        has been uploaded cannot be taken back. An attribute that was never trained with is none to forget.

        Raises:
            UsageError: called by an event's callback, or the name is none.
        """
        arguments.text("name", name)
        with self._syncs.alone():
            self.forget_attribute_alone(name)

    def forget_attribute_alone(self, name: str) -> None:
        """The same, while syncs are kept away."""
        self._personal.forget_attribute(name)

    def delete_data(self) -> None:
        """Removes everything about the user from this device: the client is then as new, with another secret key.

        The model stays, since it is the same for everybody, and so does the number of the last round that was
        contributed to, lest a round counts this device twice. What has been uploaded cannot be taken back. Old bytes
        are overwritten in the files; a file system or a flash drive may keep copies that no program reaches. Where the
        process dies meanwhile, the next opening ends it.

        Raises:
            UsageError: called by an event's callback.
            StoreError: the disk is full, or another program reads the database: remove the folder instead.
        """
        with self._syncs.alone():
            self.delete_data_alone()

    def delete_data_alone(self) -> None:
        """The same, while syncs are kept away."""
        self._syncs.forget()
        self._personal.delete()
