/** The operators that a graph may hold (docs/protocol/graphs.md). */
import type { OnnxNode } from "../gen/fedau2/v1/onnx_pb.js";

/** Types of numbers, of onnx.TensorProto.DataType. */
export const Kind = { float: 1, int64: 7, bool: 9, float16: 10, double: 11 } as const;

/** The types that tensors may have, with the bytes of one number. */
export const SIZES: Readonly<Record<number, number>> = {
  [Kind.float]: 4,
  [Kind.int64]: 8,
  [Kind.bool]: 1,
  [Kind.float16]: 2,
  [Kind.double]: 8,
};

/** The types of real numbers. */
export const FLOATS: ReadonlySet<number> = new Set([Kind.float, Kind.float16, Kind.double]);

/** Types of attributes, of onnx.AttributeProto.AttributeType. */
const Type = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, ints: 7 } as const;
const AXIS = { axis: Type.int };

const PLAIN =
  "Abs Add And Clip Div Equal Exp Greater GreaterOrEqual Identity IsNaN Log Max Min Mul Neg Not Relu Sign Sqrt Sub " +
  "Tanh Where MatMul TopK Expand Slice Squeeze Unsqueeze";

/** The attributes that each operator may have, with their types. */
export const OPERATORS: ReadonlyMap<string, Readonly<Record<string, number>>> = new Map([
  ...PLAIN.split(" ").map((name): [string, Record<string, number>] => [name, {}]),
  ["Cast", { to: Type.int }],
  ["Gemm", { alpha: Type.float, beta: Type.float, transA: Type.int, transB: Type.int }],
  ["LogSoftmax", AXIS],
  ["ReduceMax", { keepdims: Type.int }],
  ["ReduceSum", { keepdims: Type.int, noop_with_empty_axes: Type.int }],
  ["Softmax", AXIS],
  ["Concat", AXIS],
  ["ConstantOfShape", { value: Type.tensor }],
  ["Gather", AXIS],
  ["GatherElements", AXIS],
  ["Pad", { mode: Type.string }],
  ["Reshape", { allowzero: Type.int }],
  ["ScatterElements", { axis: Type.int, reduction: Type.string }],
  ["Shape", { start: Type.int, end: Type.int }],
  ["Split", { axis: Type.int, num_outputs: Type.int }],
  ["Transpose", { perm: Type.ints }],
  ["Scan", { body: Type.graph, num_scan_inputs: Type.int }],
]);

const ALWAYS: Readonly<Record<string, number>> = {
  Equal: Kind.bool,
  Greater: Kind.bool,
  GreaterOrEqual: Kind.bool,
  IsNaN: Kind.bool,
  Shape: Kind.int64,
};

/** Returns the types of a node's outputs; undefined for a type that is not known, as those of a scan. */
export function gives(node: OnnxNode, typeOf: (name: string) => number | undefined): (number | undefined)[] {
  const attribute = (name: string) => node.attribute.find((value) => value.name === name);
  const input = node.input[node.opType === "Where" ? 1 : 0];
  let first = input === undefined ? undefined : typeOf(input);
  if (node.opType === "TopK") return [first, Kind.int64];
  if (node.opType === "Cast") first = Number(attribute("to")?.i ?? 0n);
  if (node.opType === "ConstantOfShape") first = attribute("value")?.t?.dataType ?? Kind.float;
  if (node.opType === "Scan") first = undefined;
  return node.output.map(() => ALWAYS[node.opType] ?? first);
}
