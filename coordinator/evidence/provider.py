"""The interface of all ways in which a device shows that it is one of the app's.

To add a way, for example the attestation of a platform, write a `Provider` and let `commands.settings` make it.
"""

from typing import Protocol

from coordinator.model.caller import Caller


class Provider(Protocol):
    """Judges evidence."""

    def holder(self, evidence: bytes, caller: Caller, now: float) -> bytes:
        """Returns bytes that are the same for every device of one identity. They are never stored as they are.

        Args:
            evidence: as the device sent it, at most 8 KiB.
            caller: as the transport knows it.
            now: seconds since 1970.

        Raises:
            EvidenceError: it is not accepted. The text never quotes it.
        """
