"""The training graph: one local step of one client, from the kernel's own functions.

Its inputs and outputs are those of `client_sdk.onnx.step_graph`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from client_sdk import erasing
from client_sdk.kernel import adversary, eraser, matching
from client_sdk.kernel.adversary import AdversaryGradients
from client_sdk.kernel.batch import Batch, RowSlots
from client_sdk.kernel.contract import Step, Tensors
from client_sdk.kernel.matching import Matcher
from client_sdk.kernel.models import RecommenderEntry
from client_sdk.onnx import step_graph
from client_sdk.plan import AdversaryPlan, EraserPlan, MatchingPlan
from export import erased, exporter
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import (
    TENSOR_KIND_TABLE,
    TENSOR_SCOPE_ADVERSARY,
    TENSOR_SCOPE_PRIVATE,
    TENSOR_SCOPE_SHARED,
    TENSOR_SCOPE_STATISTIC,
    TensorSpec,
)
from fedau2.wire import erasers

_SAMPLES, _ROWS = 7, 5
"""Sizes of the example; the graph takes any sizes."""


def export(declared: RecommenderEntry, task: TaskManifest) -> bytes:
    """The graph of a task that declares its tensors and its plan."""
    specs = tuple(_structure(spec).SerializeToString(deterministic=True) for spec in task.tensors)
    adversaries = tuple(AdversaryPlan.of(adversary).structure for adversary in task.plan.adversaries)
    matchings = tuple(MatchingPlan.of(matching).structure for matching in task.plan.matchings)
    eraser_plan = EraserPlan.of(task.plan.eraser).structure if task.plan.HasField("eraser") else None
    return _exported(declared, specs, adversaries, matchings, eraser_plan, task.noise)


def _structure(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(name=spec.name, shape=spec.shape, kind=spec.kind, scope=spec.scope)


@lru_cache(maxsize=32)  # an export takes seconds, and processes often build many bundles of one structure
def _exported(
    declared: RecommenderEntry,
    specs: Sequence[bytes],
    adversaries: Sequence[AdversaryPlan],
    matchings: Sequence[MatchingPlan],
    eraser_plan: EraserPlan | None,
    noise: int,
) -> bytes:
    step = _LocalStep(declared, [TensorSpec.FromString(data) for data in specs], adversaries, matchings, eraser_plan)
    samples = dict.fromkeys((step_graph.SLOT, step_graph.LABEL, step_graph.WEIGHT), "samples")
    rows = dict.fromkeys((step_graph.ROW, step_graph.FIRST, *step.tables), "rows")
    growing = {**samples, **rows, step_graph.AGAIN: "repeated"}
    example = step.example(noise)
    model = exporter.export(step, example, growing, partial(_add_repeated, list(example)))
    exporter.drop_unused(model.graph)
    for value in model.graph.output:
        if value.name.removeprefix(step_graph.GRADIENT) in step.tables:
            value.type.tensor_type.shape.dim[0].dim_param = "rows"
    return exporter.serialise(model)


def _add_repeated(names: Sequence[str], program: ExportedProgram) -> None:
    """Makes adding samples up by slot faster: every slot's first sample is copied, and only repeats are added."""
    module: Any = program.graph_module  # its nodes' types say only that they may be anything
    inputs = dict(zip(names, (node for node in module.graph.nodes if node.op == "placeholder"), strict=True))
    slot, first, again = (inputs[name] for name in (step_graph.SLOT, step_graph.FIRST, step_graph.AGAIN))
    aten = torch.ops.aten
    for node in list(module.graph.nodes):
        if node.target is not aten.index_add.default or node.args[2] is not slot or node.meta["val"].dim() < 2:
            continue
        start, _, _, source = node.args
        if start.target not in (aten.zeros.default, aten.zeros_like.default):
            continue
        with module.graph.inserting_before(node):
            firsts, rest = (
                module.graph.call_function(aten.index_select.default, (source, 0, i)) for i in (first, again)
            )
            place = module.graph.call_function(aten.index_select.default, (slot, 0, again))
            added = module.graph.call_function(aten.index_add.default, (firsts, 0, place, rest))
        node.replace_all_uses_with(added)
        module.graph.erase_node(node)
        for spec in program.graph_signature.output_specs:
            if spec.arg.name == node.name:
                spec.arg.name = added.name
    module.recompile()


class _LocalStep:
    """A local step of one client as a function of named tensors: the kernel's step for a cohort of one client."""

    def __init__(
        self,
        declared: RecommenderEntry,
        specs: Sequence[TensorSpec],
        adversaries: Sequence[AdversaryPlan],
        matchings: Sequence[MatchingPlan],
        eraser_plan: EraserPlan | None,
    ) -> None:
        self._eraser = eraser_plan
        self._declared, self._specs, self._adversaries, self._matchings = declared, specs, adversaries, matchings
        self._shared, self._private, self._adversarial, self._statistics = (
            [spec.name for spec in specs if spec.scope == scope]
            for scope in (
                TENSOR_SCOPE_SHARED,
                TENSOR_SCOPE_PRIVATE,
                TENSOR_SCOPE_ADVERSARY,
                TENSOR_SCOPE_STATISTIC,
            )
        )
        self.tables = [spec.name for spec in specs if spec.kind == TENSOR_KIND_TABLE]

    def example(self, noise: int) -> Tensors:
        """Example inputs. Where sizes may vary, they differ from each other."""
        numbers = step_graph.numbers(self._declared.defaults(), self._adversaries)
        inputs = {spec.name: torch.zeros(self._shape(spec)) for spec in self._specs}
        inputs |= {name: torch.from_numpy(value) for name, value in numbers.items()}
        inputs |= {
            step_graph.SLOT: torch.arange(_SAMPLES) % _ROWS,
            step_graph.LABEL: torch.ones(_SAMPLES),
            step_graph.FIRST: torch.arange(_ROWS),
            step_graph.AGAIN: torch.arange(_ROWS, _SAMPLES),
            step_graph.WEIGHT: torch.ones(_SAMPLES),
            step_graph.ROW: torch.zeros(_ROWS, dtype=torch.int64),
            step_graph.NOISE: torch.zeros(1, noise),
            step_graph.ROUND: torch.tensor(0),
        }
        for plan in self._adversaries:
            inputs[step_graph.label_of(plan.name)] = torch.zeros(1, dtype=torch.int64)
            inputs[step_graph.noise_of(plan.name)] = torch.zeros(1, 2, plan.classes)
        published = step_graph.matched(self._matchings, {name: inputs[name].numpy() for name in self._statistics})
        inputs |= {name: torch.from_numpy(value) for name, value in published.items()}
        if self._eraser:
            inputs |= erased.example(self._eraser, inputs[erasers.LINEAR].shape[0] - 1)
            inputs[step_graph.PLACES] = torch.from_numpy(
                erasing.places(self._eraser, [bytes(16)], {name: [0] for name, _ in self._eraser.erased})
            )
        return inputs | {step_graph.row_of(plan.name): torch.zeros(1, dtype=torch.int64) for plan in self._matchings}

    def _shape(self, spec: TensorSpec) -> tuple[int, ...]:
        if spec.name in self.tables:
            return (_ROWS, *spec.shape[1:])
        return (1, *spec.shape) if spec.name in self._private else tuple(spec.shape)

    def __call__(self, inputs: Tensors) -> Tensors:
        """Computes the outputs from the inputs, both by the names of `step_graph`."""
        shared = {name: self._grouped(name, inputs) for name in self._shared}
        private = {name: inputs[name] for name in self._private}
        of_adversaries: dict[str, AdversaryGradients] = {}

        def unlearn(states: Tensors) -> Tensors:
            for plan in self._adversaries:
                of_adversaries[plan.name] = self._adversary_gradients(plan, states, inputs)
            return adversary.total([gradients.push for gradients in of_adversaries.values()])

        step = self._step(inputs)
        result = self._declared.model.gradients(shared, private, step, unlearn)
        if self._matchings:
            rows = {plan.name: inputs[step_graph.row_of(plan.name)] for plan in self._matchings}
            matchers = [self._matcher(plan, inputs) for plan in self._matchings]
            matching.apply(self._declared.model, matchers, shared, private, step, rows, result)
        if self._eraser:
            given = self._eraser, erased.maps(inputs), shared, private, step, inputs[step_graph.PLACES]
            eraser.apply(self._declared.model, *given, result)
        for of_adversary in of_adversaries.values():
            result.shared.update(of_adversary.shared)
        gradients = {name: value if name in self.tables else value[0] for name, value in result.shared.items()}
        gradients |= result.private
        outputs = {step_graph.GRADIENT + name: value for name, value in gradients.items()}
        for name, of_adversary in of_adversaries.items():
            outputs[step_graph.triggered_of(name)] = of_adversary.triggered
            outputs[step_graph.margin_of(name)] = of_adversary.margin
        return {**outputs, step_graph.LOSS: result.loss}

    def _matcher(self, plan: MatchingPlan, inputs: Tensors) -> Matcher:
        fields = ("centre", "map", "witness", "offset", "live", "inverse", "weight")
        return Matcher(plan, *(inputs[step_graph.part_of(plan.name, field)] for field in fields))

    def _grouped(self, name: str, inputs: Tensors) -> Tensor:
        return inputs[name] if name in self.tables else inputs[name][None]

    def _step(self, inputs: Tensors) -> Step:
        slot, row = inputs[step_graph.SLOT], inputs[step_graph.ROW]
        labels, weights, noise = (inputs[n] for n in (step_graph.LABEL, step_graph.WEIGHT, step_graph.NOISE))
        batch = Batch(1, 1, slot, torch.zeros_like(slot), labels, weights, noise)
        numbers = {name: inputs[step_graph.parameter(name)] for name in self._declared.defaults()}
        rows = RowSlots(1, row.shape[0], row, counts=None)  # type: ignore[arg-type]  # needed for separate clients only
        return Step(rows, batch, self._declared.of_tensors(numbers), inputs[step_graph.ROUND])

    def _adversary_gradients(self, plan: AdversaryPlan, states: Tensors, inputs: Tensors) -> AdversaryGradients:
        numbers: Any = {name: inputs[step_graph.number_of(plan.name, name)] for name in step_graph.ADVERSARY}
        tensors = {name: inputs[name][None] for name in self._adversarial if name.startswith(adversary.prefix(plan))}
        return adversary.gradients(
            replace(plan, **numbers),
            inputs[step_graph.ROUND],
            tensors,
            states,
            inputs[step_graph.label_of(plan.name)],
            inputs[step_graph.noise_of(plan.name)],
            groups=1,
        )
