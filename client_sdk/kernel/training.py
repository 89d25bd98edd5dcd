"""The local steps of a cohort, from checkpoint and clients to contributions and new private state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk import erasing
from client_sdk.draws import Samples
from client_sdk.errors import UnsupportedTaskError
from client_sdk.kernel import adversary, eraser, matching, updates
from client_sdk.kernel.adversary import AdversaryGradients
from client_sdk.kernel.contract import Factors, Gradients, Recommender, Step, Tensors
from client_sdk.kernel.matching import Matcher
from client_sdk.kernel.models import declared, plan_of
from client_sdk.kernel.operations import TORCH, Operations, PrivateTensors
from client_sdk.matching import Published
from client_sdk.plan import TrainingPlan
from client_sdk.protocol.values import Columns, PrivateState, Report
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE, TENSOR_SCOPE_ADVERSARY, TENSOR_SCOPE_SHARED
from fedau2.wire import erasers, manifest
from fedau2.wire.blobs import Tensors as Arrays
from fedau2.wire.contributions import Update
from fedau2.wire.secure.rounding import Numbers

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Task:
    """A manifest with a checkpoint, ready to train on.

    Attributes:
        manifest: checked.
        plan: the manifest's, with the recommender's `Parameters`.
        recommender: the manifest's.
        shared: the recommender's tensors.
        adversary: the adversaries' tensors.
        tables: names of the shared tables.
        matchers: the plan's matchings, with what the checkpoint publishes of them.
        maps: those of the plan's eraser that the checkpoint publishes; None if there is no eraser.
        device: where all tensors are, and where cohorts are trained.
    """

    manifest: TaskManifest
    plan: TrainingPlan[Any]
    recommender: Recommender
    shared: Tensors
    adversary: Tensors
    tables: frozenset[str]
    matchers: tuple[Matcher, ...] = ()
    maps: eraser.Maps | None = None
    device: torch.device = CPU

    @classmethod
    def load(cls, task: TaskManifest, checkpoint: Arrays, device: torch.device = CPU) -> "Task":
        """Makes a task of a checked manifest and its checkpoint, whose cohorts are trained on a device.

        Raises:
            UnsupportedTaskError: the model is not known here, the plan's parameters are not the model's, or the
                checkpoint does not fit the manifest.
        """
        plan = plan_of(task)
        specs = manifest.shared(task)
        shapes = {name: tuple(spec.shape) for name, spec in specs.items()}
        if {name: value.shape for name, value in checkpoint.items()} != shapes:
            raise UnsupportedTaskError("the checkpoint's tensors are not those of the manifest")
        tensors = {name: torch.tensor(value).to(device) for name, value in checkpoint.items()}
        scopes = {name: spec.scope for name, spec in specs.items()}
        return cls(
            manifest=task,
            plan=plan,
            recommender=declared(task.model).model,
            shared={name: value for name, value in tensors.items() if scopes[name] == TENSOR_SCOPE_SHARED},
            adversary={name: value for name, value in tensors.items() if scopes[name] == TENSOR_SCOPE_ADVERSARY},
            tables=frozenset(name for name, spec in specs.items() if spec.kind == TENSOR_KIND_TABLE),
            matchers=tuple(Matcher.of(each, Published.of(each, checkpoint), device) for each in plan.matchings),
            maps=eraser.Maps.of(erasing.Maps.of(plan.eraser, checkpoint), device) if plan.eraser else None,
            device=device,
        )


@dataclass(frozen=True, eq=False)
class Cohort:
    """The B clients of one call, with all randomness drawn.

    Attributes:
        samples: per client, per local step.
        noise: per adversary, float32 (B, steps, 2, classes).
        labels: per adversary, matching and erased attribute, class numbers int64 (B,), -1 where not known.
        state: private state of the B clients; training changes it in place.
        members: the B rows of the state that are the clients', int64; None: all rows, in order. Only operations that
            are `in_place` take others.
        places: of each client in the sums of the eraser, see `erasing.places`; None without an eraser.
    """

    samples: Sequence[Sequence[Samples]]
    noise: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, NDArray[np.int64]]
    state: PrivateState
    members: NDArray[np.int64] | None = None
    places: NDArray[np.float32] | None = None

    @classmethod
    def draw(
        cls,
        task: TaskManifest,
        round_number: int,
        keys: Sequence[bytes],
        interactions: Sequence[NDArray[np.int64]],
        labels: Mapping[str, NDArray[np.int64]],
        state: PrivateState,
        weights: Sequence[NDArray[np.float32] | None] | None = None,
        operations: Operations = TORCH,
        members: NDArray[np.int64] | None = None,
    ) -> "Cohort":
        """Draws each client's samples and noise from its own key; `weights` are those of each client's interactions.

        Raises:
            NoDataError: a client has nothing to train on.
            UnsupportedTaskError: the model is not known here, or the plan's parameters are not the model's.
        """
        plan, recommender = plan_of(task), declared(task.model).model
        samples = operations.samples(plan, recommender, keys, round_number, interactions, weights)
        noise = operations.noise(plan.adversaries, plan.local.steps, keys, round_number)
        places = erasing.places(plan.eraser, keys, labels) if plan.eraser else None
        return cls(samples, noise, labels, state, members, places)


class CohortTraining:
    """The local steps of a cohort. Call `step` as often as `steps` says, then take the results.

    Args:
        task: what to train.
        round_number: for the triggers.
        cohort: the clients that train.
        summed: keep only the cohort's sum, which one local step computes in one batched pass.
        operations: PyTorch's by default.
        factored: keep the contributions as `numbers`, which leaves large gradients as factors. There is one local step,
            and neither a matching nor an eraser.
    """

    def __init__(
        self,
        task: Task,
        round_number: int,
        cohort: Cohort,
        *,
        summed: bool,
        operations: Operations = TORCH,
        factored: bool = False,
    ) -> None:
        self._task, self._round, self._cohort, self._operations = task, round_number, cohort, operations
        self._local, self._factored = task.plan.local, factored
        # After the first of several steps the clients' shared tensors differ, so they need groups of their own.
        together = self._local.steps == 1 and (summed or (factored and getattr(task.recommender, "FACTORED", False)))
        device = task.device
        rows, batches = operations.layout(cohort.samples, task.manifest.items, summed=together)
        self._rows, self._batches = rows.on(device), [batch.on(device) for batch in batches]
        self._shared = {name: self._start(name, value) for name, value in task.shared.items()}
        self._adversary = {name: value[None] for name, value in task.adversary.items()}
        self._labels, self._noise = _tensors(cohort.labels, device), _tensors(cohort.noise, device)
        state = cohort.state.values, cohort.state.first, cohort.state.second
        self._private = PrivateTensors(*(_tensors(part, device) for part in state))
        self._members = None if cohort.members is None else torch.from_numpy(cohort.members)
        self._protected = frozenset(name for plan in task.plan.adversaries for name in plan.protects)
        self._statistics = frozenset(erasers.tensors(task.manifest.plan))
        self._sums: Tensors = {}
        self._factors: dict[str, Factors] = {}
        self._of_adversaries: list[dict[str, AdversaryGradients]] = []
        self._loss = np.zeros(len(cohort.samples), np.float32)
        self._moves = task.plan.moves(round_number)

    @property
    def steps(self) -> int:
        """Local steps in all."""
        return self._local.steps

    @property
    def private_steps(self) -> int:
        """Local steps that move private tensors: all, or none in a pass."""
        return self._local.steps if self._moves else 0

    @property
    def in_place(self) -> bool:
        """True if the clients are rows of a larger state, whose step counts the caller advances."""
        return self._members is not None

    def _start(self, name: str, value: Tensor) -> Tensor:
        return value.index_select(0, self._rows.table) if name in self._task.tables else value[None]

    def step(self) -> None:
        """Takes the next local step."""
        taken = len(self._of_adversaries)
        of_adversaries: dict[str, AdversaryGradients] = {}

        def unlearn(states: Tensors) -> Tensors:
            of_adversaries.update(self._adversary_gradients(states, taken))
            return adversary.total([gradients.push for gradients in of_adversaries.values()])

        with torch.no_grad():
            given = self._task.plan.parameters, self._round, self._protected, self._members
            step, private = Step(self._rows, self._batches[taken], *given, self._factored), self._private.values
            gradients = self._operations.gradients(self._task.recommender, self._shared, private, step, unlearn)
            self._match(gradients, step)
            self._erase(gradients, step, taken)
            if self._moves:
                self._advance_private(gradients, taken)
            for of_adversary in of_adversaries.values():
                gradients.shared.update(of_adversary.shared)
                gradients.factors.update(of_adversary.factors)
            if not self._moves:
                self._leave_out_recommender(gradients)
            self._advance_shared(gradients.shared)
            self._factors = gradients.factors
        self._of_adversaries.append(of_adversaries)
        self._loss = updates.array(gradients.loss)

    def _match(self, gradients: Gradients, step: Step) -> None:
        """Adds what the matchings ask of the protected states, and their statistics."""
        if not self._task.matchers:
            return
        matchers, labels, private = self._task.matchers, self._labels, self._of_members()
        rows = {each.plan.name: matching.rows(each.plan, labels[each.plan.name]) for each in matchers}
        matching.apply(self._task.recommender, matchers, self._shared, private, step, rows, gradients)

    def _erase(self, gradients: Gradients, step: Step, taken: int) -> None:
        """Adds what the clients contribute to the sums of the eraser, which are of the states before the first step."""
        plan, maps, places = self._task.plan.eraser, self._task.maps, self._cohort.places
        if plan and maps and places is not None and taken == 0:
            given = self._task.recommender, plan, maps, self._shared, self._of_members(), step
            eraser.apply(*given, torch.from_numpy(places).to(self._task.device), gradients)

    def _of_members(self) -> Tensors:
        """The clients' private tensors, (B, ...)."""
        private = self._private.values
        return private if self._members is None else {name: value[self._members] for name, value in private.items()}

    def _adversary_gradients(self, states: Tensors, step: int) -> dict[str, AdversaryGradients]:
        return {
            plan.name: adversary.gradients(
                plan,
                self._round,
                {name: value for name, value in self._adversary.items() if name.startswith(adversary.prefix(plan))},
                states,
                self._labels[plan.name],
                self._noise[plan.name][:, step],
                len(self._cohort.samples) if self._factored else self._rows.groups,
                factored=self._factored,
            )
            for plan in self._task.plan.adversaries
        }

    def _leave_out_recommender(self, gradients: Gradients) -> None:
        for name in self._task.shared:
            gradients.shared.pop(name, None)
            gradients.factors.pop(name, None)

    def _advance_private(self, gradients: Gradients, taken: int) -> None:
        steps = torch.from_numpy(self._cohort.state.steps + taken).to(self._task.device)
        if self._members is not None:
            steps = steps[self._members]
        rate = self._local.private_learning_rate
        self._operations.adam(self._private, gradients, steps, rate, self._members)

    def _advance_shared(self, gradients: Tensors) -> None:
        if self.steps == 1:
            self._sums = gradients
            return
        # Start minus end is summed up separately: subtracting the two would lose its small digits.
        for name, gradient in gradients.items():
            if name in self._statistics:  # of one step alone
                self._sums[name] = gradient
                continue
            scaled = gradient.mul_(self._local.shared_learning_rate)
            if len(self._of_adversaries) + 1 < self.steps:
                tensors = self._adversary if name in self._adversary else self._shared
                tensors[name] = tensors[name] - scaled
            self._sums[name] = self._sums[name].add_(scaled) if name in self._sums else scaled

    def run(self) -> Self:
        """Takes all local steps."""
        for _ in range(self.steps):
            self.step()
        return self

    def state(self) -> PrivateState:
        """The clients' new private state, unless the training is in place."""
        steps, private = self._cohort.state.steps + self.private_steps, self._private
        return PrivateState(_arrays(private.values), _arrays(private.first), _arrays(private.second), steps)

    def report(self) -> Report:
        """Reports what only the device and the simulator may know."""
        names = [adversary.name for adversary in self._task.plan.adversaries]
        steps = self._of_adversaries
        triggered = {n: updates.array(torch.stack([step[n].triggered for step in steps], 1)) for n in names}
        margin = {n: updates.array(torch.stack([step[n].margin for step in steps], 1)) for n in names}
        return Report(self._loss, triggered, margin)

    def contributions(self) -> list[dict[str, Update]]:
        """Each client's contribution; separate form."""
        return updates.separate(self._sums, self._rows, self._task.tables, self._cohort.labels)

    def numbers(self) -> dict[str, Numbers]:
        """The contributions of all clients by tensor, of those that carry it; factored form."""
        sums = self._sums, self._factors
        return updates.numbers(*sums, self._rows, self._task.tables, self._cohort.labels, len(self._cohort.samples))

    def summed(self) -> tuple[dict[str, Update], dict[str, int]]:
        """The sum of all contributions, and per tensor how many clients carry it."""
        weights = dict.fromkeys(self._sums, len(self._cohort.samples))
        for adversary_name, labels in self._cohort.labels.items():
            known, prefix = int((labels >= 0).sum()), manifest.adversary_prefix(adversary_name)
            weights |= {name: known for name in weights if name.startswith(prefix)}
        return updates.total(self._sums, self._rows, self._task.tables), weights


def _tensors(columns: Mapping[str, NDArray[Any]], device: torch.device) -> Tensors:
    return {name: torch.from_numpy(value).to(device) for name, value in columns.items()}


def _arrays(tensors: Tensors) -> Columns:
    return {name: updates.array(value) for name, value in tensors.items()}
