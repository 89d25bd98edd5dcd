"""The SDK's blocking client, as an app sees it."""

from collections.abc import Iterable
from datetime import timedelta
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Self

from client_sdk import arguments, engines, status
from client_sdk.core import ClientCore
from client_sdk.engines import Chosen
from client_sdk.enrolling import Enrolling
from client_sdk.errors import UsageError
from client_sdk.identity import unmaskers as identities
from client_sdk.identity.unmaskers import Unmasker
from client_sdk.personalisation.outcome import Personalisation
from client_sdk.personalisation.personaliser import STEPS
from client_sdk.privacy import Privacy
from client_sdk.protocol.drivers import Check, drive
from client_sdk.protocol.floors import SumFloors
from client_sdk.protocol.preparation import label
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.wishes import Outcome
from client_sdk.recommending import Recommending
from client_sdk.recording import Recording
from client_sdk.scheduling.background import Background
from client_sdk.scheduling.syncing import refusals
from client_sdk.scheduling.timeout import Timeout
from client_sdk.store import encryption
from client_sdk.store.encryption import Key
from client_sdk.store.sqlite_store import INTERACTIONS, SqliteStore
from client_sdk.store.starter import adopt as adopt_starter
from client_sdk.subscriptions import Events
from client_sdk.transport.credentials import Credentials
from client_sdk.transport.target import Address

if TYPE_CHECKING:
    from client_sdk.identity.evidence import Evidence
    from client_sdk.transport.grpc_transport import GrpcTransport


MODEL_AGE = timedelta(days=1)
"""Age from which a model is replaced by a newer one, by default."""


class FedClient(Recording, Recommending, Enrolling):
    """One user's recommender on one device. `open` makes one; its methods may be called from any thread.

    Every method raises `StoreError` if the state folder cannot be used, `StoreClosedError` after `close`, and
    `StoreForkedError` in a process that was forked from the one that opened the client. A client that is dropped
    without `close` is closed when Python collects it, with a `ResourceWarning`.

    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> with FedClient.open(folder.name, coordinator="fed.example.com:443", population="movies") as client:
    ...     client.record("movie-1193")
    ...     client.set_attribute("gender", "F")
    ...     client.status().recorded
    1
    >>> folder.cleanup()

    Attributes:
        privacy: reports, exports and removes the user's data.
        events: subscriptions to the events of syncs.
        background: syncs in the background while the device meets an app's constraints.
    """

    events: Events
    background: Background

    def __init__(self, core: ClientCore) -> None:
        self._core, self._store = core, core.store
        self._transport: GrpcTransport | None = None
        self.events = core.events
        self.background = Background(core.store, core.syncs, self._sync, self._hang_up, core.personal.when_due)
        self.privacy = Privacy(core.store, core.syncs, core.measures)

    @classmethod
    def open(
        cls,
        state_dir: str | PathLike[str],
        coordinator: str,
        population: str,
        *,
        engine: Chosen = "onnx",
        root_certificates: bytes | None = None,
        insecure: bool = False,
        credentials: Credentials | None = None,
        key: Key | None = None,
        starter: str | PathLike[str] | None = None,
        max_interactions: int = INTERACTIONS,
        publishers: Iterable[bytes] | None = None,
        unmaskers: Iterable[Unmasker] = (),
        enrolment: "tuple[str, Evidence] | None" = None,
        require_secure_sums: bool | SumFloors = False,
        require_release: bool = False,
        max_model_age: timedelta | None = MODEL_AGE,
        personal_steps: int | None = STEPS,
        admission: "Evidence" = b"",
    ) -> Self:
        """Opens a client's state folder, without using the network.

        Args:
            state_dir: a folder that only this client uses: one that a client made, an empty one, or one that does not
                exist, which is then made.
            coordinator: `host:port` or any other name that gRPC knows, for example "dns:///fed.example.com:443".
            population: name of the population that this device belongs to, at most 128 bytes.
            engine: the engine that trains. "onnx" runs the task's training graph, and "torch" the SDK's own kernel,
                which needs PyTorch. An object is used as it is, for example an `OnnxEngine` with other limits.
            root_certificates: PEM of the authorities to trust; None: those that gRPC brings along.
            insecure: sends plaintext to a coordinator on another machine; for networks that something else protects.
            credentials: a token, a certificate or the like that the device shows; None: it shows nothing.
            key: a function that returns 32 bytes, with which the user's data is encrypted on the disk; None: it is not.
            starter: a bundle's folder, to recommend from until the first sync brings a model. It may be removed then.
            max_interactions: most interactions that are kept; with more, the oldest are dropped.
            publishers: public keys (PEM) whose signatures on tasks are trusted, as `fedau2-export keygen` writes them;
                None: every task that the coordinator sends is run.
            unmaskers: the unmaskers that the app trusts; `enrol` gets certificates from them.
            enrolment: a pair as `enrol` takes it, with which a sync enrols by itself where a task needs it, and renews
                certificates at half of their life. None: only `enrol` does.
            require_secure_sums: contributes to no task without secure sums; with `SumFloors` to none with weaker ones.
                It needs publishers and unmaskers.
            require_release: runs no task that was signed without a release, not even before it has seen one. It needs
                publishers.
            max_model_age: age from which a sync fetches a newer model although the round has no place for this device,
                as most rounds have none. It costs a checkpoint each time. None: only a device without a model does.
            personal_steps: steps that the client takes by itself after a new model or a tenth more records, at the end
                of a sync and in the background, as `personalise` does. None: it takes none.
            admission: evidence of who the user is, for a coordinator that admits each user once to a round: a token, or
                a function that returns one. The coordinator sees it, and does not learn which
                contribution is the user's.

        Raises:
            UsageError: an argument has a wrong type or value.
            UntrustedTaskError: the starter is not signed by one of the publishers.
            MissingFeatureError: the starter requires a feature that this SDK does not have.
            MissingPackageError: there are publishers, or a key, and the package that they need is not installed.
            StoreLockedError: another client has opened the folder.
            StoreKeyError: the key does not open the folder; nothing was changed.
            StoreVersionError: a newer SDK wrote the folder.
            StoreError: the folder holds something else, which stays as it is; or it has lost its database, is damaged,
                or cannot be used.
        """
        folder = arguments.folder("state_dir", state_dir)
        bundle = None if starter is None else arguments.folder("starter", starter)
        shown = Credentials() if credentials is None else credentials
        address = Address(arguments.text("coordinator", coordinator), root_certificates, insecure, shown)
        population = arguments.text("population", population)
        if len(population.encode()) > 128:
            raise UsageError("population is longer than 128 bytes")
        engines.check(engine)
        known = identities.known(unmaskers)
        itself = identities.by_itself(enrolment, known)
        trust = Trust(publishers, [unmasker.identity for unmasker in known], require_secure_sums, require_release)
        oldest = arguments.duration("max_model_age", max_model_age)
        personal = None if personal_steps is None else arguments.number("personal_steps", personal_steps)
        most = arguments.number("max_interactions", max_interactions)
        store = SqliteStore(folder, most, encryption.of(key))
        trust = trust.of(population, store.releases)
        try:
            if bundle is not None:
                adopt_starter(store, bundle, trust)
        except BaseException:
            store.close()
            raise
        return cls(ClientCore(store, address, population, engine, trust, oldest, personal, known, itself, admission))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops background work, interrupts a sync under way with its call, and frees the state folder.

        May be called again. In a process that was forked from the one that opened the client it does nothing.
        """
        if self._store.database.forked:
            return
        self._core.interrupt()
        self.background.close()
        try:
            self._store.close()
        finally:
            self._hang_up()  # last, so that a sync that has not called yet finds the store closed

    def set_attribute(self, name: str, value: str | None) -> None:
        """Keeps an attribute of the user, on this device. A task that unlearns it then does so for this client.

        Args:
            name: for example "gender".
            value: for example "F"; None forgets it.

        Raises:
            AttributeValueError: the task does not know this value; the value before it stays.
            UsageError: an argument has a wrong type or value.
        """
        name = arguments.text("name", name)
        value = None if value is None else arguments.text("value", value)
        with self._store.held():
            task = self._core.task()
            for adversary in task.plan.adversaries if task else ():
                if value is not None and adversary.attribute == name:
                    label(value, name, list(adversary.classes))
            self._store.set_attribute(name, value)

    def sync(self, timeout: float | None = None) -> Outcome:
        """Checks in once, now.

        If an earlier upload was never answered, it is made again. Otherwise the client offers itself for a round, and
        trains and uploads if the coordinator assigns it a place. Without a place it fetches the newest model if it has
        none, or one older than `max_model_age`; the outcome then says `refreshed`.

        A download that breaks off goes on in this sync or the next, also after a restart, and an upload in the next. A
        place is given back if its lease is too short, or if the sync is ended by the timeout, by Ctrl-C or by `close`.

        Args:
            timeout: seconds after which the sync ends, except for a local step under way and two seconds to give its
                place back; None: it may take any time, but not be silent for a minute.

        Raises:
            TimedOutError: the time was over first; nothing is lost.
            TransportError: the coordinator did not answer; nothing is lost, call again later. With `CredentialsError`
                this device could not show who it is, or was turned away for it.
            RefusedError: the coordinator refused the call; nothing is lost.
            TaskError: the task cannot be run here, for example with `NoDataError` because nothing is recorded, or with
                `UntrustedTaskError` because none of the publishers signed it.
            AttributeValueError: the task does not know the value that an attribute was set to: set it again.
            UntrustedUnmaskerError: the key of a round of secure sums, or an unmasker's answer, is not believed.
            UsageError: called by an event's callback, or the timeout is not a number above 0.
        """
        limit = Timeout(timeout)
        with self._core.syncs.alone(limit.left()) as alone:
            return limit.judge(self._sync(limit.check) if alone else None)

    def personalise(self, steps: int = STEPS, timeout: float | None = None) -> Personalisation:
        """Trains the user's own vectors on this device, so that recommendations become the user's own at once.

        It uses no network, changes nothing that is shared, and changes no contribution.

        Args:
            steps: number of personal steps, each of some milliseconds.
            timeout: seconds after which no further step begins; None: it may take any time.

        Raises:
            NoModelError: there is no model yet.
            NoDataError: nothing is recorded that the model's catalogue lists.
            MissingGraphError: the task brings no training graph.
            TaskError: the steps cannot be taken here, for example with `UnsupportedTaskError`.
            AttributeValueError: the task does not know the value that an attribute was set to: set it again.
            TimedOutError: a sync was under way until the time was over.
            UsageError: called by an event's callback, or an argument has a wrong type or value.
        """
        number, limit = arguments.number("steps", steps), Timeout(timeout)
        with self._core.syncs.alone(limit.left()) as alone:
            if not alone:
                limit.judge(None)
            return self._core.personalise(number, limit)

    def status(self) -> status.ClientStatus:
        """Returns the client's state at this moment."""
        return status.of(self._store, self._core.task(), self._core.syncs.pace, self.background.status())

    def _sync(self, check: Check) -> Outcome:
        def checked() -> float:
            return min(self._core.check(), check())

        address, syncs = self._core.address, self._core.syncs
        try:
            from client_sdk.transport.grpc_transport import GrpcTransport

            with refusals(address.coordinator), GrpcTransport(address) as transport:
                self._transport = transport
                outcome = drive(self._core.session(), transport, checked, self._core.enrol_by_itself, self._core.prove)
        except BaseException as error:
            syncs.failed(error)
            raise
        ended = syncs.ended(outcome)
        self._core.personal.when_due(checked)
        return ended

    def _hang_up(self) -> None:
        """Ends the call that a sync is waiting for."""
        if (transport := self._transport) is not None:
            transport.hang_up()
