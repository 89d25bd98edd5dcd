/** A device's contribution, and its bytes. */
import { create, toBinary } from "@bufbuild/protobuf";
import { ContributionSchema, DType, TensorUpdateSchema } from "../gen/fedau2/v1/tensors_pb.js";
import { bytesOf, type Tensor } from "./tensors.js";

/** The part of a contribution for one tensor; `rows` are strictly increasing, and absent where it is whole. */
export interface Update extends Tensor {
  readonly rows?: Uint32Array;
}

export type Updates = ReadonlyMap<string, Update>;

/** Returns a serialised `Contribution`; equal updates give equal bytes. */
export function encode(updates: Updates): Uint8Array {
  const tensors = [...updates].sort(([left], [right]) => compared(left, right)).map(([name, { shape, values, rows }]) =>
    create(TensorUpdateSchema, {
      name,
      dtype: DType.DTYPE_FLOAT32,
      shape: [...shape],
      body:
        rows === undefined
          ? { case: "dense", value: bytesOf(values) }
          : { case: "rows", value: { indices: bytesOf(rows), values: bytesOf(values) } },
    }),
  );
  return toBinary(ContributionSchema, create(ContributionSchema, { tensors }));
}

/** Compares names by their code points, as Python does. */
function compared(left: string, right: string): number {
  const [a, b] = [[...left], [...right]].map((letters) => letters.map((letter) => letter.codePointAt(0)!));
  for (let place = 0; place < Math.min(a!.length, b!.length); place++) {
    if (a![place] !== b![place]) return a![place]! - b![place]!;
  }
  return a!.length - b!.length;
}

/** Returns updates with every value clipped to [-bound, bound]. Values must be finite. */
export function clip(updates: Updates, bound: number): Map<string, Update> {
  const limit = largestWithin(bound);
  return new Map(
    [...updates].map(([name, update]) => [
      name,
      { ...update, values: update.values.map((value) => Math.min(Math.max(value, -limit), limit)) },
    ]),
  );
}

/** Returns the largest binary32 number that is at most `bound`, which is above 0. */
function largestWithin(bound: number): number {
  const nearest = Float32Array.of(bound);
  if (nearest[0]! > bound) new Uint32Array(nearest.buffer)[0]! -= 1;
  return nearest[0]!;
}
