"""Takes personal steps from a client's store, and decides when the client takes them by itself.

The caller keeps syncs out meanwhile (`Syncs.alone`), because a sync replaces the model.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from client_sdk.errors import FedError, NoDataError, NoModelError
from client_sdk.onnx.onnx_engine import OnnxEngine
from client_sdk.personalisation.outcome import Ended, Personalisation
from client_sdk.personalisation.steps import PersonalSteps
from client_sdk.protocol import manifests, preparation
from client_sdk.protocol.contributing import engine_failures
from client_sdk.protocol.drivers import Check
from client_sdk.protocol.interfaces import Engine
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Job, Model
from client_sdk.protocol.wishes import Interrupted
from client_sdk.store.personalised import Personalised
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP, Resource, TaskManifest
from fedau2.wire import manifest

_log = logging.getLogger(__name__)

STEPS = 20
"""Personal steps of a personalisation, by default."""

KEPT = 5
"""Most steps that are lost if the process dies."""

_SHARE = 10
"""The client personalises again when a tenth of the records that it keeps are new, in number."""


@dataclass(frozen=True)
class _Moment:
    """A model and a number of records, ever made, for which the client may personalise by itself."""

    model: Model
    recorded: int


class Personaliser:
    """The personal steps of one client.

    Args:
        store: the client's state.
        trust: checks whose graphs are run.
        engine: returns the client's engine; its limits hold if it runs graphs.
        steps: of each personalisation that the client begins by itself; None: it begins none.
    """

    def __init__(self, store: SqliteStore, trust: Trust, engine: Callable[[], Engine], steps: int | None) -> None:
        self._store, self._trust, self._engine, self._steps = store, trust, engine, steps
        self._own: OnnxEngine | None = None
        self._tried: _Moment | None = None

    def personalise(self, steps: int, check: Check) -> Personalisation:
        """Takes personal steps. The steps that were taken are kept, also when the check ends them.

        Args:
            steps: their number.
            check: called before each step.

        Raises:
            NoModelError: there is no model yet, or a part of it is missing.
            NoDataError: nothing is recorded that the model's catalogue lists, or everything is.
            AttributeValueError: the task does not know the value that an attribute was set to.
            TaskError: the steps cannot be taken here, for example with `MissingGraphError` because the task brings no
                training graph.
            StoreError: the store cannot be used.
        """
        model = self._store.model()
        if model is None:
            raise NoModelError("there is no model on this device yet: call sync() first")
        task = self._task(model)
        if not manifest.private(task):
            return Personalisation(0, Ended.NOTHING_PRIVATE)
        job = self._job(model, task)
        if not len(job.client.interactions):
            raise NoDataError("nothing is recorded that the model's catalogue lists: call record() first")
        with engine_failures():
            personal = PersonalSteps(self._graphs().load(job), model.round, job.client)
            return self._take(steps, check, personal, model, job)

    def when_due(self, check: Check) -> None:
        """Personalises if there is a new model, or enough new records; errors are logged, never raised.

        Args:
            check: as for `personalise`.
        """
        try:
            moment = self._due()
            if self._steps is None or moment is None or moment == self._tried:
                return
            self._tried = moment  # what fails is not tried again with the same model and records
            if self.personalise(self._steps, check).ended is not Ended.NOTHING_PRIVATE:
                self._tried = None  # it is due again where the user removes what it has made
        except FedError as error:  # its text may quote the user
            _log.info("recommendations were not personalised: %s", type(error).__name__)

    def _due(self) -> _Moment | None:
        model = self._store.model() if self._steps is not None else None
        kept = self._store.recorded() if model else 0
        if model is None or not kept:
            return None
        checkpoint, then = self._store.personalised.completed(model.task_id)
        recorded = self._store.ever_recorded()
        enough = (recorded - then) * _SHARE >= kept
        return _Moment(model, recorded) if enough or checkpoint != model.checkpoint.sha256 else None

    def _task(self, model: Model) -> TaskManifest:
        data = self._blob(model.manifest)
        self._trust.check(data)
        return manifests.parse(data)

    def _job(self, model: Model, task: TaskManifest) -> Job:
        graphs = [graph.resource for graph in manifest.known_graphs(task) if graph.kind == GRAPH_KIND_STEP]
        step = self._blob(graphs[0]) if graphs else b""
        state = self._store.personalised.served(model.task_id, self._store.private(model.task_id))
        client = preparation.client_data(self._store, task, model.task_id, state)
        return Job(task, model.checkpoint, self._blob(model.checkpoint), model.round, client, step)

    def _blob(self, resource: Resource) -> bytes:
        data = self._store.blob(resource)
        if data is None:
            raise NoModelError("a part of the model is missing or was damaged: call sync() to fetch it again")
        return data

    def _graphs(self) -> OnnxEngine:
        engine = self._engine()
        if isinstance(engine, OnnxEngine):
            return engine
        self._own = self._own or OnnxEngine()
        return self._own

    def _take(self, steps: int, check: Check, personal: PersonalSteps, model: Model, job: Job) -> Personalisation:
        before, recorded = self._store.personalised.get(model.task_id), self._store.ever_recorded()
        names = {each.attribute for each in job.manifest.plan.adversaries if each.name in personal.client.labels}
        kept = replace(before, attributes=tuple(sorted(names.union(before.attributes))))
        for taken in range(steps):
            try:
                check()
            except Interrupted:
                self._keep(model, kept, taken, personal)
                return Personalisation(taken, Ended.INTERRUPTED)
            personal.step(before.steps + taken)
            if (taken + 1) % KEPT == 0 and taken + 1 < steps:
                self._keep(model, kept, taken + 1, personal)
        done = replace(kept, checkpoint=model.checkpoint.sha256, recorded=recorded)
        self._keep(model, done, steps, personal)
        return Personalisation(steps, Ended.DONE)

    def _keep(self, model: Model, kept: Personalised, taken: int, personal: PersonalSteps) -> None:
        if taken:
            self._store.personalised.keep(model.task_id, replace(kept, steps=kept.steps + taken, state=personal.state))
