"""Holds what the blocking and the asyncio client share: the state, the syncs, and the way to the coordinator."""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

from client_sdk import engines
from client_sdk.engines import Chosen
from client_sdk.errors import (
    AttributeValueError,
    FedError,
    NoDataError,
    TaskError,
    UnsupportedTaskError,
    UntrustedUnmaskerError,
)
from client_sdk.identity.unmaskers import Unmasker
from client_sdk.onnx.serving import Serving
from client_sdk.personalisation.outcome import Ended, Personalisation
from client_sdk.personalisation.personaliser import Personaliser
from client_sdk.protocol import manifests
from client_sdk.protocol.admittance import Admittance
from client_sdk.protocol.interfaces import Engine
from client_sdk.protocol.membership import Membership
from client_sdk.protocol.preparation import labels
from client_sdk.protocol.session import Session
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.wishes import SPENT, Declined, Interrupted, Result
from client_sdk.reporting import measures
from client_sdk.reporting.statements import Statement
from client_sdk.scheduling.syncing import Syncs
from client_sdk.scheduling.timeout import Timeout
from client_sdk.store.sqlite_store import SqliteStore
from client_sdk.subscriptions import Events
from client_sdk.transport.target import Address
from client_sdk.weights import Weights
from fedau2.v1.device_pb2 import FAILURE_REASON_NOT_ENROLLED
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import addresses

if TYPE_CHECKING:
    from client_sdk.identity.enrolling import Enrolment
    from client_sdk.identity.evidence import Evidence

_log = logging.getLogger(__name__)

_ENROLLED_WITHIN = 60.0
"""Seconds that a client takes at most to enrol by itself."""


class ClientCore:
    """One opened client, whichever way it is called.

    Args:
        store: the client's state; `close` closes it.
        address: the coordinator's.
        population: the devices that the client belongs to.
        engine: the engine that trains, or its name.
        trust: checks whose tasks are run.
        max_model_age: seconds after which a model is replaced by a newer one, although the round has no place.
        personal_steps: personal steps after a new model or new records; None: none.
        unmaskers: the unmaskers that the app trusts.
        enrolment: kind and evidence with which the client enrols by itself; None: it does not.
        admission: evidence of who the user is, for a coordinator that asks for it.

    Attributes:
        store: as above.
        address: as above.
        engine: as above; its name is replaced by the engine at the first sync.
        events: the subscribers to events.
        syncs: the client's syncs, one after the other.
        serving: recommends from the store.
        personal: takes personal steps.
        unmaskers: as above.
        members: its certificates.
    """

    def __init__(
        self,
        store: SqliteStore,
        address: Address,
        population: str,
        engine: Chosen,
        trust: Trust,
        max_model_age: float,
        personal_steps: int | None,
        unmaskers: Sequence[Unmasker] = (),
        enrolment: "tuple[str, Evidence] | None" = None,
        admission: "Evidence" = b"",
    ) -> None:
        self.store, self.address, self.engine, self.unmaskers = store, address, engine, unmaskers
        self.events = Events(store.ensure_open)
        self.syncs = Syncs(store, population, self.events, max_model_age)
        self.serving = Serving(store, trust)
        self.personal = Personaliser(store, trust, self._made, personal_steps)
        self.members = Membership(store.identities, trust.unmaskers, enrolment is not None)
        self._trust, self._enrolment, self._admission = trust, enrolment, admission
        self._admittance = Admittance()
        self._closing = Event()
        if trust.everybody and not addresses.is_loopback(address.coordinator):
            _log.warning(
                "every graph that %s sends will be run, and a graph can send what it is given: name the publishers "
                "whose tasks you trust",
                address.coordinator,
            )

    def interrupt(self) -> None:
        """Makes a sync under way stop before its next local step: the client is about to be closed."""
        self._closing.set()

    def check(self) -> float:
        """Returns infinity, unless the client is being closed; a `drivers.Check`.

        Raises:
            Interrupted: it is.
        """
        if self._closing.is_set():
            raise Interrupted
        return math.inf

    def session(self) -> Session:
        """Begins one check-in, or repeats an upload that was not answered.

        A client that could not contribute by what it knows asks for no place in a round. Its session ends with the
        error or the reason that says why.

        Raises:
            MissingEngineError: the engine's library is not installed.
            StoreError: the store cannot be read.
        """
        engine, staged = self._made(), self.store.staged()
        unfit = None if staged and self._trust.sends(staged) else self._unfit()
        members = self.members.needed_by(self.task())
        session = self.syncs.session(engine, self._trust, unfit is not None, members, self._admittance)
        return session if unfit is None else _explained(session, unfit)

    def personalise(self, steps: int, limit: Timeout) -> Personalisation:
        """Takes personal steps until a time is over; the caller keeps syncs out. It raises as `Personaliser` does."""
        result = self.personal.personalise(steps, lambda: min(self.check(), limit.check()))
        late = result.ended is Ended.INTERRUPTED and not limit.left()
        return replace(result, ended=Ended.TIMEOUT) if late else result

    def enrol(self, kind: str, evidence: "Evidence", limit: Timeout) -> "tuple[Enrolment, ...]":
        """Enrols at the unmaskers until a time is over; the caller keeps syncs out. It raises as `FedClient.enrol`."""
        from client_sdk.identity import enrolling  # here, because most apps have no unmasker

        return enrolling.enrol(self.store, self.unmaskers, kind, evidence, limit)

    def enrol_by_itself(self, seconds: float) -> None:
        """Enrols with the app's evidence within so many seconds; a `drivers.Enrolling`."""
        assert self._enrolment is not None  # else no session wishes for it
        self.enrol(*self._enrolment, Timeout(min(seconds, _ENROLLED_WITHIN)))

    def prove(self) -> bytes:
        """Returns the app's evidence of who the user is; a `drivers.Proving`."""
        from client_sdk.identity import evidence  # here, because most coordinators ask for none

        return evidence.read(self._admission)

    def _made(self) -> Engine:
        self.engine = engine = engines.make(self.engine)
        return engine

    def _unfit(self) -> FedError | Declined | None:
        """Returns the reason for which a place would not be used, by the newest model; None: it can contribute."""
        recorded, task = self.store.recorded(), self.task()
        if not recorded:
            return NoDataError("nothing is recorded to train on: call record() first")
        if task is None:
            return None
        if self.store.unlisted(task.catalogue) == recorded:
            return NoDataError("the catalogue lists nothing that is recorded: call record() with an item that it lists")
        weights = Weights.of(task.plan)
        if self.store.rows(task.catalogue) and not len(self.store.positives(task.catalogue, weights).rows):
            return NoDataError("the task counts nothing that is recorded: call record() with what the user has chosen")
        try:
            labels(self.store, task)
            self._trust.expect_secure(task)
        except (AttributeValueError, TaskError, UntrustedUnmaskerError) as error:
            return error
        model = self.store.model()
        spent = model is not None and self.members.spent(model.task_id, task.secure_sums)
        return Declined(FAILURE_REASON_NOT_ENROLLED, SPENT) if spent else None

    def measures(self) -> tuple[Statement, ...]:
        """Returns the measures that protect the user now."""
        model = self.store.model()
        return measures.in_force(
            self.task(),
            self.store.attribute_names(),
            encrypted=not self.address.plaintext,
            checked=not self._trust.everybody,
            masked=self.store.identities.participations(model.task_id) if model else 0,
            noises=self.store.identities.masked(),
        )

    def task(self) -> TaskManifest | None:
        """Returns the manifest of the newest model.

        None where there is no model, or where its manifest is damaged or older than what this SDK runs: the next sync
        then fetches another.
        """
        model = self.store.model()
        data = self.store.blob(model.manifest) if model else None
        try:
            return manifests.parse(data) if data else None
        except UnsupportedTaskError:
            return None


def _explained(session: Session, unfit: FedError | Declined) -> Session:
    """Runs a session, and says why it asked for no place.

    Raises:
        FedError: why, with the rejection's window, unless the session brought a new model.
    """
    outcome = yield from session
    if outcome.result is not Result.REJECTED:
        return outcome
    if isinstance(unfit, Declined):
        return replace(outcome, reason=unfit.reason)
    if not outcome.refreshed:
        unfit.retry = outcome.retry
        raise unfit
    return outcome
