"""Checks that a manifest is signed by a publisher that the app trusts, and that its task is one that the app wants.

A manifest names its catalogue, its graphs and its initial checkpoint by hash, so its signature covers them.
"""

from collections.abc import Iterable
from copy import copy
from typing import TYPE_CHECKING

from client_sdk.errors import (
    MissingFeatureError,
    MissingPackageError,
    PlainTaskError,
    UntrustedTaskError,
    UntrustedUnmaskerError,
    UsageError,
)
from client_sdk.protocol.floors import SumFloors
from client_sdk.protocol.releases import Memory, Releases
from client_sdk.protocol.values import Staged
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import signatures
from fedau2.wire.errors import IdentityError, ManifestError
from fedau2.wire.secure.policy import FEATURE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Trust:
    """Checks manifests. Without a list, every manifest is trusted.

    Args:
        keys: Ed25519 public keys as `fedau2-export keygen` writes them (PEM); a signature by any of them is enough.
        unmaskers: identity keys of the unmaskers that are trusted, of 32 bytes each.
        require_secure_sums: no other task is contributed to. Floors say how much its sums must keep secret.
        require_release: no bundle that was signed without a release is run.

    Raises:
        UsageError: a key is not such a key, or the list is empty; or secure sums or releases are required of nobody.
        MissingPackageError: there are keys, and `cryptography` is not installed.

    Attributes:
        unmaskers: as above.
        requires_secure_sums: as above.
    """

    def __init__(
        self,
        keys: Iterable[bytes] | None = None,
        unmaskers: Iterable[bytes] = (),
        require_secure_sums: bool | SumFloors = False,
        require_release: bool = False,
    ) -> None:
        if keys is not None and not isinstance(keys, Iterable):
            raise UsageError(f"publishers must be a list of public keys, not {type(keys).__name__}")
        self._keys = [_public_key(key) for key in keys or ()]
        if keys is not None and not self._keys:
            raise UsageError("publishers lists no key, and so no task could be trusted: leave it out to run any task")
        self.unmaskers, self.requires_secure_sums = frozenset(unmaskers), bool(require_secure_sums)
        self._floors = SumFloors() if require_secure_sums is True else require_secure_sums or None
        if require_secure_sums and not (self._keys and self.unmaskers):
            raise UsageError("require_secure_sums needs publishers and unmaskers: the coordinator must choose neither")
        self._require_release = require_release
        self._releases: Releases | None = None
        if require_release and not self._keys:
            raise UsageError("require_release needs publishers: without a signature, the coordinator makes the release")

    def of(self, population: str, memory: Memory) -> "Trust":
        """Returns the trust of one device, which remembers what it has seen of releases.

        Args:
            population: of the device.
            memory: keeps the sequence numbers.
        """
        trust = copy(self)
        trust._releases = Releases(population, memory, self._require_release)
        return trust

    @property
    def everybody(self) -> bool:
        """Every manifest is trusted."""
        return not self._keys

    def check(self, manifest: bytes) -> bytes | None:
        """Returns if a serialised manifest is signed by one of the keys, or if every manifest is trusted.

        Returns:
            The 32 bytes of the key; None: every manifest is trusted.

        Raises:
            UntrustedTaskError: it is not signed by one of the keys.
        """
        if self.everybody:
            return None
        try:
            body, signature = signatures.split(manifest)
        except ManifestError as error:
            raise UntrustedTaskError(f"{error}, and the app trusts only those of its publishers") from error
        for key in self._keys:
            if _verifies(key, signature, signatures.message(body)):
                return key.public_bytes_raw()
        raise UntrustedTaskError("no publisher that the app trusts made the manifest's signature")

    def expect_release(self, task: TaskManifest, publisher: bytes | None) -> None:
        """Returns if the device may run a task by its release, which it then remembers; see `Releases.expect`.

        Args:
            task: the manifest, which has been checked.
            publisher: the key that `check` has returned.

        Raises:
            ReleaseError: the task is for other devices or another time, or a newer one has followed it.
        """
        if publisher is not None and self._releases is not None:
            self._releases.expect(task, publisher)

    def sends(self, staged: Staged) -> bool:
        """Returns True if a contribution that waits may be sent: one of before the app required masks may not."""
        return staged.masked or not self.requires_secure_sums

    def expect_secure(self, task: TaskManifest) -> None:
        """Returns if contributions may be made to a task, whose manifest has been checked.

        Raises:
            PlainTaskError: secure sums are required, and it has none, or those that it has keep too little secret.
            MissingFeatureError: it has secure sums, and the app names no unmasker, or `cryptography` is missing.
            UntrustedUnmaskerError: no unmasker that may open its sums is one that the app names.
        """
        if FEATURE not in task.required_features:
            if self.requires_secure_sums:
                raise PlainTaskError("the coordinator could read every contribution to this task: no secure sums")
            return
        self._expect_able()
        if self._floors is not None:
            self._floors.expect(task.secure_sums)
        if self.unmaskers.isdisjoint(task.secure_sums.unmaskers):
            raise UntrustedUnmaskerError("the app trusts none of the unmaskers that may open the task's sums")

    def _expect_able(self) -> None:
        if not self.unmaskers:
            raise MissingFeatureError(
                "the task has secure sums: name the unmaskers that the app trusts when the client is opened "
                "(unmaskers=), with pip install 'fedau2[secure]'",
                (FEATURE,),
            )
        try:
            from cryptography.hazmat.primitives.hpke import Suite  # noqa: F401 - is there since version 47
        except ImportError as error:
            raise MissingFeatureError(
                f"the task has secure sums, which need a package that cannot be imported ({error}): "
                "pip install 'fedau2[secure]'",
                (FEATURE,),
            ) from error


def unmasker_key(pem: bytes) -> bytes:
    """Returns the 32 bytes of an unmasker's public key.

    Raises:
        UsageError: it is not an Ed25519 public key in PEM.
        MissingPackageError: `cryptography` is not installed.
    """
    try:
        from fedau2.wire.identity import signing
    except ImportError as error:
        raise MissingPackageError(
            f"secure sums need a package that cannot be imported ({error}): pip install 'fedau2[secure]'"
        ) from error
    try:
        return signing.read_public(pem)
    except IdentityError as error:
        raise UsageError(str(error)) from error


def _public_key(data: bytes) -> "Ed25519PublicKey":
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise MissingPackageError(
            f"signatures need a package that cannot be imported ({error}): pip install 'fedau2[signed]'"
        ) from error
    try:
        key = load_pem_public_key(data)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"a publisher's key must be the bytes of a PEM file with a public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError("a publisher's key must be an Ed25519 key, as fedau2-export keygen makes them")
    return key


def _verifies(key: "Ed25519PublicKey", signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
