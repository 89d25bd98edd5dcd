"""The maps of an eraser as inputs of graphs; `client_sdk.onnx.step_graph` names them."""

from dataclasses import fields

import torch

from client_sdk import erasing
from client_sdk.kernel import eraser
from client_sdk.kernel.contract import Tensors
from client_sdk.onnx import step_graph
from client_sdk.plan import EraserPlan
from fedau2.wire import erasers


def example(plan: EraserPlan, width: int) -> Tensors:
    """Returns example inputs for states of so many numbers: the maps of a checkpoint before the first round."""
    shapes = {
        erasers.SCALE: (2,),
        erasers.LINEAR: (1 + width, 1 + width),
        erasers.CLASSES: (erasers.FOLDS * plan.classes, 1 + width),
        erasers.STEPS: (plan.steps, plan.classes, 1 + 2 * plan.frequencies),
    }
    maps = erasing.Maps.of(plan, {name: torch.zeros(shape).numpy() for name, shape in shapes.items()})
    return {name: torch.from_numpy(value) for name, value in step_graph.mapped(maps).items()}


def maps(inputs: Tensors) -> eraser.Maps:
    """Takes the maps from the inputs of a graph."""
    return eraser.Maps(*(inputs[step_graph.map_of(field.name)] for field in fields(eraser.Maps)))


def shown(plan: EraserPlan, inputs: Tensors, states: Tensors) -> Tensors:
    """Returns the states of one user as they are shown: moved by the maps, with the user's floor of noise."""
    return eraser.shown(plan, maps(inputs), inputs[step_graph.FLOOR], states)
