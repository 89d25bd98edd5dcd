"""Puts other sizes and another name into a graph in place of those that it was made for."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedau2.v1.onnx_pb2 import OnnxGraph, OnnxTensor, OnnxValue

_INT64 = 7


@dataclass(frozen=True)
class Filling:
    """The numbers and parts of names that replace others.

    Attributes:
        numbers: by the number that each of them replaces.
        names: by the part of a name that each of them replaces.
        counted: length of a constant 0, 1, 2, ... that gets the length that replaces this one.
    """

    numbers: Mapping[int, int]
    names: Mapping[str, str]
    counted: int

    def number(self, value: int) -> int:
        """Returns what replaces a number."""
        return self.numbers.get(value, value)

    def name(self, value: str) -> str:
        """Returns a name with its parts replaced."""
        for old, new in self.names.items():
            value = value.replace(old, new)
        return value


def fill_graph(graph: OnnxGraph, fill: Filling) -> None:
    """Replaces numbers and names in a graph, and in the graphs within it."""
    for value in (*graph.input, *graph.output):
        _fill_value(value, fill)
    for node in graph.node:
        node.input[:], node.output[:] = map(fill.name, node.input), map(fill.name, node.output)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                fill_graph(attribute.g, fill)
    for constant in graph.initializer:
        if constant.data_type == _INT64:
            _fill_constant(constant, fill)


def _fill_value(value: OnnxValue, fill: Filling) -> None:
    value.name = fill.name(value.name)
    for axis in value.type.tensor_type.shape.dim:
        if axis.HasField("dim_value"):
            axis.dim_value = fill.number(axis.dim_value)


def _fill_constant(constant: OnnxTensor, fill: Filling) -> None:
    constant.int64_data[:] = map(fill.number, constant.int64_data)
    if not constant.HasField("raw_data"):
        return
    old = np.frombuffer(constant.raw_data, "<i8").tolist()
    if old == list(range(fill.counted)):
        new = list(range(fill.number(fill.counted)))
        constant.dims[:] = [len(new)]
    else:
        new = [fill.number(value) for value in old]
    constant.raw_data = np.array(new, "<i8").tobytes()
