"""Keys of publishers, and bundles signed with them. Ed25519; keys are PEM files."""

import os
import time
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from client_sdk.errors import UntrustedTaskError, UsageError
from client_sdk.protocol.trust import Trust
from export import bundle as bundles
from export.defaults import DAYS
from export.errors import KeyFileError, TargetError, VerificationError
from export.releases import Terms
from fedau2 import files
from fedau2.v1.task_pb2 import Release, TaskManifest
from fedau2.wire import bundles as folders
from fedau2.wire import releases, signatures


def keygen(private: Path, public: Path) -> None:
    """Makes a key. Only the owner may read the file of the private half; apps get the public half.

    Raises:
        TargetError: one of the files exists, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    published = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(private, secret, 0o600)
    try:
        _write_new(public, published, 0o644)
    except TargetError:
        private.unlink()
        raise


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123
            file.write(data)
    except OSError as error:
        raise TargetError(f"{path} cannot be written: {error}") from error


def sign(
    folder: Path, private: Path, *, population: str | None = None, sequence: int | None = None, days: int = DAYS
) -> Release:
    """Signs the bundle in a folder after checking its blobs. An existing signature is replaced, with its release.

    Args:
        folder: of the bundle.
        private: file of the publisher's private key.
        population: see `Terms`, as the next two.
        sequence: sequence number.
        days: days for which the bundle may be used.

    Returns:
        The release that was signed with it.

    Raises:
        ReleaseError: it cannot be signed on these terms.
        BundleError: the bundle cannot be read or written, or is not complete.
        KeyFileError: the file holds no private Ed25519 key.
    """
    key = private_key(private)
    task = TaskManifest()
    task.CopyFrom(bundles.read(folder).manifest)
    task.ClearField("signature")
    task.release.CopyFrom(Terms(population, sequence, days).release(task))
    body = task.SerializeToString(deterministic=True)
    signed = signatures.attach(body, key.sign(signatures.message(body)))
    target = folder / folders.MANIFEST
    try:
        files.write(target, signed)
    except OSError as error:
        raise TargetError(f"{target} cannot be written: {error}") from error
    return task.release


def private_key(path: Path) -> Ed25519PrivateKey:
    """Reads a publisher's private key.

    Raises:
        KeyFileError: the file holds no private Ed25519 key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error}") from error
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} holds no private key without a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds a key of another kind: make one with fedau2-export keygen")
    return key


def check(folder: Path, public: Path) -> None:
    """Checks, as devices do, that a bundle is signed with the private half of a key, and that its time is not over.

    Raises:
        BundleError: the manifest cannot be read.
        KeyFileError: the file holds no public Ed25519 key.
        VerificationError: the bundle is not signed, or is signed by another key; or its time is over or has not come.
    """
    try:
        trust = Trust([public.read_bytes()])
    except OSError as error:
        raise KeyFileError(f"{public} cannot be read: {error}") from error
    except UsageError as error:
        raise KeyFileError(f"{public}: {error}") from error
    task = bundles.read(folder).manifest
    try:
        trust.check((folder / folders.MANIFEST).read_bytes())
    except UntrustedTaskError as error:
        raise VerificationError(str(error)) from error
    if releases.expired(task.release, time.time()):
        raise VerificationError("the time for which the bundle was signed is over: sign it again")
    if releases.early(task.release, time.time()):
        raise VerificationError("the bundle was signed in the future, by the clock of this machine")
