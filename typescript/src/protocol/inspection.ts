/** Inspects a graph before a runtime loads it, because a graph from a server is a program (docs/protocol/graphs.md). */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ForbiddenGraphError } from "../errors.js";
import {
  type OnnxGraph,
  type OnnxModel,
  OnnxModelSchema,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValue,
} from "../gen/fedau2/v1/onnx_pb.js";
import { GraphKind } from "../gen/fedau2/v1/task_pb.js";
import { FLOATS, gives, Kind, OPERATORS, SIZES } from "./operators.js";

export const MAX_BYTES = 2 ** 20;
const MAX_NODES = 5_000;
const MAX_AXES = 8;
const MAX_MEMORY = 2 ** 30;
const DOMAINS = new Set(["", "ai.onnx"]);
const EXTERNAL = 1;
/** Position of the input that states the size of the output. */
const SIZED: Readonly<Record<string, number>> = { ConstantOfShape: 0, Expand: 1, Reshape: 1 };

class Refused extends Error {}

/** A graph that may be loaded: the inspected parts of it, and nothing else. */
export interface Inspected {
  readonly data: Uint8Array;
  /** Its metadata, which binds it to a task. */
  readonly properties: ReadonlyMap<string, string>;
}

/**
 * Inspects a graph.
 *
 * @throws ForbiddenGraphError the graph may not be loaded; the text says why.
 */
export function inspected(data: Uint8Array, kind: GraphKind): Inspected {
  checkSize(BigInt(data.length), kind);
  try {
    return inspectedModel(data, kind === GraphKind.RECOMMEND);
  } catch (error) {
    const reason = error instanceof Refused ? error.message : "it cannot be read";
    throw new ForbiddenGraphError(`the task's graph of kind ${GraphKind[kind]} is refused: ${reason}`);
  }
}

/** @throws ForbiddenGraphError a graph has more bytes than one without weights can need. */
export function checkSize(size: bigint, kind: GraphKind): void {
  if (size > MAX_BYTES) {
    const reason = `${size} bytes are more than ${MAX_BYTES}, and graphs carry no weights`;
    throw new ForbiddenGraphError(`the task's graph of kind ${GraphKind[kind]} is refused: ${reason}`);
  }
}

function inspectedModel(data: Uint8Array, scans: boolean): Inspected {
  const model = fromBinary(OnnxModelSchema, data, { readUnknownFields: false });
  require(model.functions.length + model.trainingInfo.length === 0, "it brings functions or training graphs");
  require(model.opsetImport.length > 0, "it names no operators' version");
  require(model.opsetImport.every((set) => DOMAINS.has(set.domain ?? "")), "it takes operators of another domain");
  require(model.graph !== undefined, "it has no graph");
  checkLength(model, scans);
  new Scope(scans).check(model.graph!);
  const properties = new Map(model.metadataProps.map(({ key, value }) => [key, value]));
  return { data: toBinary(OnnxModelSchema, model), properties };
}

function checkLength(model: OnnxModel, scans: boolean): void {
  const bodies = model.graph!.node.flatMap((node) => node.attribute.flatMap(({ g }) => (scans && g ? [g] : [])));
  const graphs = [model.graph!, ...bodies];
  const total = (count: (graph: OnnxGraph) => number) => graphs.reduce((sum, graph) => sum + count(graph), 0);
  require(total((graph) => graph.node.length) <= MAX_NODES, `it has more than ${MAX_NODES} nodes`);
  const declared = total((g) => g.initializer.length + g.input.length + g.output.length + g.valueInfo.length);
  require(declared <= MAX_NODES, `it declares more than ${MAX_NODES} tensors`);
}

/** The types and the constants of a graph's tensors, by name. */
class Scope {
  private readonly types = new Map<string, number | undefined>();
  private readonly constants = new Map<string, readonly bigint[]>();

  constructor(
    private readonly scans: boolean,
    private readonly outer?: Scope,
  ) {}

  check(graph: OnnxGraph): void {
    require(graph.sparseInitializer.length === 0, "it has sparse tensors");
    for (const tensor of graph.initializer) {
      checkTensor(tensor);
      this.define(tensor.name, tensor.dataType);
      if (tensor.dataType === Kind.int64 && tensor.dims.length <= 1) this.constants.set(tensor.name, integers(tensor));
    }
    for (const value of [...graph.input, ...graph.output, ...graph.valueInfo]) checkValue(value);
    for (const value of graph.input) this.define(value.name, elementType(value));
    for (const node of graph.node) this.checkNode(node);
  }

  private has(name: string): boolean {
    return this.types.has(name) || (this.outer?.has(name) ?? false);
  }

  private typeOf(name: string): number | undefined {
    return this.types.has(name) ? this.types.get(name) : this.outer?.typeOf(name);
  }

  private constant(name: string): readonly bigint[] {
    return this.constants.get(name) ?? this.outer?.constant(name) ?? [];
  }

  private define(name: string, kind: number | undefined): void {
    require(!this.has(name), `'${name.slice(0, 64)}' stands for several tensors`);
    this.types.set(name, kind);
  }

  private checkNode(node: OnnxNode): void {
    const name = `'${node.opType.slice(0, 64)}'`;
    require(DOMAINS.has(node.domain ?? ""), `it takes ${name} of another domain`);
    require(OPERATORS.has(node.opType), `the operator ${name} is not among those allowed`);
    require(this.scans || node.opType !== "Scan", "'Scan' brings a graph");
    checkAttributes(node);
    const type = (input: string) => this.typeOf(input);
    require(node.opType !== "Div" || FLOATS.has(type(node.input[0] ?? "") ?? 0), "'Div' may divide integers");
    let results = gives(node, type);
    for (const { g } of node.attribute) {
      if (g === undefined) continue;
      new Scope(false, this).check(g);
      results = g.output.map(elementType);
    }
    const place = SIZED[node.opType];
    const shape = place === undefined ? undefined : node.input[place];
    if (shape !== undefined) checkMemory(name, this.constant(shape), results[0]);
    results.slice(0, node.output.length).forEach((kind, output) => {
      if (node.output[output] !== "") this.define(node.output[output]!, kind); // an unused output has no name
    });
  }
}

function checkAttributes(node: OnnxNode): void {
  const allowed = OPERATORS.get(node.opType)!;
  const seen = new Set<string>();
  for (const attribute of node.attribute) {
    const label = `the attribute '${attribute.name.slice(0, 64)}' of '${node.opType}'`;
    const expected = Object.hasOwn(allowed, attribute.name) && allowed[attribute.name] === attribute.type;
    require(expected && !seen.has(attribute.name), `${label} is not among those allowed`);
    require(attribute.name !== "to" || FLOATS.has(Number(attribute.i ?? 0n)), `${label} names a type not allowed`);
    if (attribute.t !== undefined) checkTensor(attribute.t);
    seen.add(attribute.name);
  }
}

function checkTensor(tensor: OnnxTensor): void {
  const label = `the tensor '${tensor.name.slice(0, 64)}'`;
  const outside = tensor.dataLocation === EXTERNAL || tensor.externalData.length > 0;
  require(!outside, `${label} lies outside of the file`);
  checkType(label, tensor.dataType);
  checkMemory(label, tensor.dims, tensor.dataType);
  require(tensor.dims.every((length) => length >= 0n), `${label} has a negative size`);
  const stated = Number(tensor.dims.reduce((product, length) => product * length, 1n));
  require(stored(tensor) === stated, `${label} does not hold the ${stated} numbers that it states`);
}

/** Counts the numbers of a tensor; undefined: it holds them in several fields, or not in its type's field. */
function stored(tensor: OnnxTensor): number | undefined {
  const size = SIZES[tensor.dataType]!;
  const raw = tensor.rawData?.length ?? 0;
  const ways: Record<number, number> = {
    [Kind.float]: tensor.floatData.length,
    [Kind.int64]: tensor.int64Data.length,
    [Kind.bool]: tensor.int32Data.length,
    [Kind.double]: tensor.doubleData.length,
  };
  const typed = ways[tensor.dataType === Kind.float16 ? Kind.bool : tensor.dataType]!;
  const total = Object.values(ways).reduce((sum, count) => sum + count, 0);
  if (total !== typed || (typed > 0 && raw > 0) || raw % size !== 0) return undefined;
  return typed || raw / size;
}

function checkValue(value: OnnxValue): void {
  const label = `'${value.name.slice(0, 64)}'`;
  const type = value.type?.value;
  require(type?.case === "tensorType", `${label} is not a tensor`);
  checkType(label, elementType(value)!);
  const shape = type?.case === "tensorType" ? (type.value.shape?.dim ?? []) : [];
  const lengths = shape.map(({ value: axis }) => (axis.case === "dimValue" ? axis.value : 0n));
  checkMemory(label, lengths, elementType(value));
}

function elementType(value: OnnxValue): number | undefined {
  const type = value.type?.value;
  return type?.case === "tensorType" ? type.value.elemType : undefined;
}

function checkType(label: string, kind: number): void {
  require(kind in SIZES, `${label} is of a type that is not among those allowed`);
}

/** Checks the bytes of a tensor of this shape; those of an unknown type count as the largest. */
function checkMemory(label: string, dims: readonly bigint[], kind: number | undefined): void {
  require(dims.length <= MAX_AXES, `${label} has ${dims.length} axes, more than ${MAX_AXES}`);
  let size = BigInt(SIZES[kind ?? 0] ?? 8);
  for (const length of dims) {
    const magnitude = length < 0n ? -length : length;
    size *= magnitude > 1n ? magnitude : 1n;
    require(size <= MAX_MEMORY, `${label} asks for more than ${MAX_MEMORY} bytes`);
  }
}

/** Returns the first integers of a constant: one more than a shape may have. */
function integers(tensor: OnnxTensor): readonly bigint[] {
  if (tensor.int64Data.length > 0) return tensor.int64Data.slice(0, MAX_AXES + 1);
  const raw = new Uint8Array((tensor.rawData ?? new Uint8Array()).subarray(0, 8 * (MAX_AXES + 1)));
  return [...new BigInt64Array(raw.buffer)];
}

function require(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Refused(message);
}
