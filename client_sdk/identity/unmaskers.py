"""The unmaskers that an app trusts."""

from asyncio import AbstractEventLoop
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from client_sdk.errors import UsageError
from client_sdk.protocol.trust import unmasker_key
from client_sdk.transport.offloading import awaited_on
from client_sdk.transport.target import Address

if TYPE_CHECKING:
    from client_sdk.identity.evidence import Evidence


@dataclass(frozen=True)
class Unmasker:
    """An unmasker, and the key by which it is known.

    Attributes:
        address: its address for devices, for example "dns:///unmasker.example.org:443".
        key: its public key (PEM), as `fedau2-unmasker init` prints it. Get it from the party that runs the unmasker,
            never from the coordinator, and ship it with the app.
        root_certificates: PEM of the authorities to trust; None: those that gRPC brings along.
        insecure: sends plaintext to another machine; for networks that something else protects.

    Raises:
        UsageError: the address or the key cannot be used.
        MissingPackageError: `cryptography` is not installed.
    """

    address: str
    key: bytes
    root_certificates: bytes | None = field(default=None, repr=False)
    insecure: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.address, str):
            raise UsageError(f"an unmasker's address must be a string, not {type(self.address).__name__}")
        self.target, self.identity  # noqa: B018 - what is wrong is said at once

    @cached_property
    def target(self) -> Address:
        """Its address as a transport takes it."""
        return Address(self.address, self.root_certificates, self.insecure)

    @cached_property
    def identity(self) -> bytes:
        """The 32 bytes of its key."""
        return unmasker_key(self.key)


def known(unmaskers: Iterable[Unmasker]) -> tuple[Unmasker, ...]:
    """Returns the unmaskers that an app names.

    Raises:
        UsageError: one is not an `Unmasker`, or two have the same key.
    """
    listed = tuple(unmaskers) if isinstance(unmaskers, Iterable) else (unmaskers,)
    if not all(isinstance(unmasker, Unmasker) for unmasker in listed):
        raise UsageError("unmaskers must be a list of client_sdk.Unmasker, each with an address and a key")
    if len({unmasker.identity for unmasker in listed}) < len(listed):
        raise UsageError("unmaskers names one key twice: each unmasker has its own")
    return listed


def by_itself(
    enrolment: "tuple[str, Evidence] | None", unmaskers: tuple[Unmasker, ...]
) -> "tuple[str, Evidence] | None":
    """Returns the kind and the evidence with which a client enrols by itself; None: it does not.

    Raises:
        UsageError: they are not such a pair, or there are no unmaskers.
    """
    if enrolment is None:
        return None
    from client_sdk.identity import evidence  # here, because most clients never load its messages

    if not isinstance(enrolment, tuple) or len(enrolment) != 2:
        raise UsageError("enrolment must be a pair of a kind and evidence, for example ('token', login.token)")
    evidence.evidence_class(enrolment[0])
    if not unmaskers:
        raise UsageError("enrolment needs the unmaskers at which the client is to be enrolled (unmaskers=)")
    return enrolment


def awaited(enrolment: "tuple[str, Evidence] | None", loop: AbstractEventLoop) -> "tuple[str, Evidence] | None":
    """Returns the same pair with evidence that blocks, if it is a function, for threads other than the loop's."""
    if isinstance(enrolment, tuple) and len(enrolment) == 2 and callable(enrolment[1]):
        return enrolment[0], awaited_on(enrolment[1], loop)
    return enrolment
