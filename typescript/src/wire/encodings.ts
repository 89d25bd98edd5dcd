/** Encodings of checkpoints (docs/protocol/manifest.md): float32, and smaller ones that stand for it. */
import { DamagedTaskError } from "../errors.js";
import type { Assignment, ModelVersion } from "../gen/fedau2/v1/device_pb.js";
import { CheckpointEncoding, type Resource } from "../gen/fedau2/v1/task_pb.js";
import { floats, type Stored, stored, type Tensor, type Tensors } from "./tensors.js";

/**
 * Returns the tensors of a checkpoint in any encoding.
 *
 * @throws DamagedTaskError it is not a checkpoint in an encoding that is known.
 */
export function decode(data: Uint8Array): Tensors {
  const found = stored(data);
  const scales = new Set([...found].flatMap(([name, { dtype }]) => (dtype === "I8" ? [scaleOf(name)] : [])));
  const tensors = new Map<string, Tensor>();
  for (const [name, tensor] of found) {
    if (scales.has(name)) continue;
    const scale = tensor.dtype === "I8" ? scaleFor(name, tensor, found.get(scaleOf(name))) : undefined;
    tensors.set(name, { shape: tensor.shape, values: scale ? scaled(tensor, scale) : numbers(tensor) });
  }
  return tensors;
}

/** Returns the checkpoint of a message that a device fetches: the encoded one, if its encoding is known here. */
export function offered({ encoded, checkpoint }: Assignment | ModelVersion): Resource {
  const known = encoded !== undefined && encoded.encoding in CheckpointEncoding;
  return (known ? encoded.resource : checkpoint)!;
}

function scaleOf(name: string): string {
  return `${name}:scale`;
}

/** Returns the scales of a tensor's rows. */
function scaleFor(name: string, { shape }: Stored, scale: Stored | undefined): Float32Array {
  const fits = scale?.dtype === "F32" && shape.length > 1 && scale.shape.length === 1 && scale.shape[0] === shape[0];
  if (!fits) throw new DamagedTaskError(`the checkpoint has no scales for the rows of ${name}`);
  return floats(scale.data);
}

function scaled({ data }: Stored, scale: Float32Array): Float32Array {
  const width = data.length / scale.length;
  const integers = new Int8Array(data.buffer, data.byteOffset, data.length);
  return Float32Array.from(integers, (integer, place) => integer * scale[Math.floor(place / width)]!);
}

function numbers({ dtype, data }: Stored): Float32Array {
  if (dtype === "F32") return floats(data);
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  return Float32Array.from({ length: data.length / 2 }, (_, place) => half(view.getUint16(2 * place, true)));
}

/** Returns the number that the bits of a float16 stand for. */
function half(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 === 0 ? 1 : -1, (bits >> 10) & 0x1f, bits & 0x3ff];
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
