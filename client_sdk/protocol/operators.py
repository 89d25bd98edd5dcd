"""Lists the operators that a graph may hold, with the types of numbers that they give. Loads no runtime.

They are those that the graphs of all recommenders, heads, triggers and objectives need, and no others
(`tests/export/test_operators.py` compares). These are left out on purpose:

* operators that branch, loop, draw random numbers, or handle strings and sequences
* ScatterND, which gives wrong numbers with a sum and several threads
* Mod, and Div of integers, which end the process if they cannot be computed
"""

from collections.abc import Callable

from fedau2.v1.onnx_pb2 import OnnxNode

FLOAT, INT64, BOOL, FLOAT16, DOUBLE = 1, 7, 9, 10, 11  # of onnx.TensorProto.DataType

SIZES = {FLOAT: 4, INT64: 8, BOOL: 1, FLOAT16: 2, DOUBLE: 8}
"""The types that tensors may have, with the bytes of one number."""

FLOATS = frozenset({FLOAT, FLOAT16, DOUBLE})

_FLOAT, _INT, _STRING, _TENSOR, _GRAPH, _INTS = 1, 2, 3, 4, 5, 7  # of onnx.AttributeProto.AttributeType
_AXIS = {"axis": _INT}

OPERATORS: dict[str, dict[str, int]] = {
    # elementwise
    **{
        name: {}
        for name in (
            *(
                "Abs",
                "Add",
                "And",
                "Clip",
                "Cos",
                "Div",
                "Equal",
                "Exp",
                "Greater",
                "GreaterOrEqual",
                "Identity",
                "IsNaN",
            ),
            *("Log", "Max", "Min", "Mul", "Neg", "Not", "Relu", "Sign", "Sin", "Sqrt", "Sub", "Tanh", "Where"),
        )
    },
    "Cast": {"to": _INT},
    # along axes
    "Gemm": {"alpha": _FLOAT, "beta": _FLOAT, "transA": _INT, "transB": _INT},
    "LogSoftmax": _AXIS,
    "MatMul": {},
    "ReduceMax": {"keepdims": _INT},
    "ReduceSum": {"keepdims": _INT, "noop_with_empty_axes": _INT},
    "Softmax": _AXIS,
    "TopK": {},
    # of shapes and positions
    "Concat": _AXIS,
    "ConstantOfShape": {"value": _TENSOR},
    "Expand": {},
    "Gather": _AXIS,
    "GatherElements": _AXIS,
    "Pad": {"mode": _STRING},
    "Reshape": {"allowzero": _INT},
    "ScatterElements": {"axis": _INT, "reduction": _STRING},
    "Shape": {"start": _INT, "end": _INT},
    "Slice": {},
    "Split": {"axis": _INT, "num_outputs": _INT},
    "Squeeze": {},
    "Transpose": {"perm": _INTS},
    "Unsqueeze": {},
    # in graphs for recommending only
    "Scan": {"body": _GRAPH, "num_scan_inputs": _INT},
}
"""The attributes that each operator may have, with their types."""

_FROM = {"Where": 1}
"""The input whose type the outputs have, where it is not the first."""

_ALWAYS = {"Equal": BOOL, "Greater": BOOL, "GreaterOrEqual": BOOL, "IsNaN": BOOL, "Shape": INT64}


def gives(node: OnnxNode, type_of: Callable[[str], int | None]) -> list[int | None]:
    """Returns the types of a node's outputs; None for a type that is not known, as those of a scan.

    Args:
        node: has an allowed operator.
        type_of: the type of a tensor by name, if it is known.
    """
    values = {attribute.name: attribute for attribute in node.attribute}
    place = _FROM.get(node.op_type, 0)
    first = type_of(node.input[place]) if len(node.input) > place else None
    if node.op_type == "TopK":
        return [first, INT64]
    if node.op_type == "Cast":
        first = values["to"].i if "to" in values else None
    elif node.op_type == "ConstantOfShape":
        first = values["value"].t.data_type if "value" in values else FLOAT
    elif node.op_type == "Scan":
        first = None
    return [_ALWAYS.get(node.op_type, first)] * len(node.output)
