"""Admissions to rounds: one for each identity and round, by a blind signature, which does not say whose it is."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from functools import partial
from typing import Any

from coordinator.engine.blind_signer import BlindSigner
from coordinator.engine.identities import Identities
from coordinator.engine.task_table import TaskTable
from coordinator.errors import AdmittedError, BusyError, EvidenceError, InvalidRequestError, NoAdmissionError
from coordinator.evidence.provider import Provider
from coordinator.metrics.metrics import Metrics
from coordinator.model.caller import CALLER
from coordinator.model.open_task import OpenTask
from coordinator.store.admissions import AdmissionBook, Round
from fedau2.v1.device_pb2 import Admission, AdmissionKey, AdmitRequest, AdmitResponse
from fedau2.wire import blind
from fedau2.wire.blind import PrivateKey

MOST_EVIDENCE = 8 * 1024
"""Most bytes of evidence."""

_MESSAGE = 64
"""Bytes of an admission's message."""

_BITS = 8 * blind.SIZE

Run = Callable[[Callable[[], Any]], "asyncio.Future[Any]"]
"""Runs work on the writing thread, in order."""


class Admissions:
    """Issues and checks the admissions to open rounds.

    Each round has a key of its own, so an admission is for one round. Until the round is over, the ledger has the
    identities that were given one, by hashes with the round's private key.

    Args:
        provider: judges evidence.
        tasks: the tasks.
        book: keys and identities, in the ledger.
        run: runs work on the writing thread.
        metrics: count admissions.
        clock: seconds since 1970.
        identities: limit how often an identity may ask, whatever its addresses.
    """

    def __init__(
        self,
        provider: Provider,
        tasks: TaskTable,
        book: AdmissionBook,
        run: Run,
        metrics: Metrics,
        clock: Callable[[], float],
        identities: Identities,
    ) -> None:
        self._identities = identities
        self._provider, self._tasks, self._book, self._run = provider, tasks, book, run
        self._metrics, self._clock = metrics, clock
        self._keys: dict[str, tuple[Round, PrivateKey]] = {}
        self._making = asyncio.Lock()
        self._signer = BlindSigner()

    async def key(self, task: OpenTask) -> PrivateKey:
        """Returns the key of the open round of a task, as it is when this returns."""
        while True:
            number = task.round.number
            key = await self._key((task.task_id, number))
            if task.round.number == number:
                return key

    async def _key(self, of: Round) -> PrivateKey:
        async with self._making:
            held = self._keys.get(of[0])
            if held is not None and held[0] == of:
                return held[1]
            stored = await self._run(partial(self._book.key, of))
            if stored is None:
                made = await asyncio.to_thread(_made)
                stored = await self._run(partial(self._book.keep, of, made))
            self._keys[of[0]] = of, _read(stored)
            return self._keys[of[0]][1]

    def spent_by(self, admission: Admission, key: PrivateKey) -> bytes:
        """Returns the hash by which a valid admission is known when it is spent; empty: it is not valid."""
        if len(admission.message) != _MESSAGE or not blind.verify(key.modulus, admission.message, admission.signature):
            return b""
        return hashlib.sha256(admission.message).digest()

    async def admit(self, request: AdmitRequest) -> AdmitResponse:
        """DeviceService.Admit.

        Raises:
            InvalidRequestError: a part has a wrong size.
            EvidenceError: the evidence is not accepted.
            NoAdmissionError: the key is not that of the population's open round.
            AdmittedError: the identity has had its admission to the round.
            BusyError: the identity asks too often.
        """
        try:
            signature = await self._signed(request)
        except (EvidenceError, AdmittedError, BusyError) as error:
            self._metrics.admissions.labels(type(error).__name__).inc()
            raise
        self._metrics.admissions.labels("issued").inc()
        return AdmitResponse(signature=signature)

    async def _signed(self, request: AdmitRequest) -> bytes:
        if len(request.evidence) > MOST_EVIDENCE or len(request.blinded) != blind.SIZE:
            raise InvalidRequestError(f"evidence has at most {MOST_EVIDENCE} bytes, and a blinded message {blind.SIZE}")
        holder = self._provider.holder(request.evidence, CALLER.get(), self._clock())
        self._identities.expect("admission", holder)
        task = self._tasks.open_task_of(request.population)
        if task is None:
            raise NoAdmissionError("the population has no round to be admitted to; check in later")
        key = await self.key(task)
        if request.key.modulus != key.modulus:
            raise NoAdmissionError("the key is not that of the open round; check in for it")
        of = (task.task_id, task.round.number)
        hidden = hmac.digest(key.d.to_bytes(blind.SIZE), holder, "sha256")
        issued = await self._run(partial(self._book.issue, of, hidden, hashlib.sha256(request.blinded).digest()))
        if issued is None:  # it ended after the key was looked up
            raise NoAdmissionError("the round is over; check in for the next")
        if not issued:
            raise AdmittedError("this identity has had its admission to this round; come back for the next")
        return await self._signer.sign(key, request.blinded)


def message(key: PrivateKey) -> AdmissionKey:
    """Returns the public half of a key as devices get it."""
    return AdmissionKey(modulus=key.modulus)


def _made() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import rsa  # here, because few coordinators need it
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(blind.EXPONENT, _BITS)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _read(stored: bytes) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    key = load_der_private_key(stored, None)
    assert isinstance(key, RSAPrivateKey)
    numbers = key.private_numbers()
    return PrivateKey(numbers.p, numbers.q, numbers.d)
