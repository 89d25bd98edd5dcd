"""The method of a client by which it is enrolled at the unmaskers that the app trusts."""

from typing import TYPE_CHECKING

from client_sdk.core import ClientCore
from client_sdk.scheduling.timeout import Timeout

if TYPE_CHECKING:
    from client_sdk.identity.enrolling import Enrolment
    from client_sdk.identity.evidence import Evidence


class Enrolling:
    """The part of `FedClient` that enrols."""

    _core: ClientCore

    def enrol(self, kind: str = "open", evidence: "Evidence" = b"", timeout: float = 60.0) -> "tuple[Enrolment, ...]":
        """Gets a certificate from each unmasker, unless the device has one with half of its life left.

        Where an unmasker fails, the others are asked all the same, and the first failure is raised at the end.

        Args:
            kind: "token" of the app's identity provider, "invitation", or "open" where an unmasker asks for nothing.
            evidence: the token or the code, or a function that returns it.
            timeout: seconds that it may take.

        Raises:
            UntrustedUnmaskerError: an answer is not signed by the key that the app knows.
            RefusedError: an unmasker did not accept the evidence, or has revoked this device.
            TransportError: an unmasker did not answer; call again later. Nothing is lost.
            TimedOutError: a sync was under way until the time was over.
            UsageError: there is no unmasker, called by an event's callback, or an argument has a wrong type or value.
        """
        limit = Timeout(timeout)
        with self._core.syncs.alone(limit.left()) as alone:
            if not alone:
                limit.judge(None)
            return self._core.enrol(kind, evidence, limit)
