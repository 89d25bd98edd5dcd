/** Clips, noises and covers a contribution before it leaves the device (docs/protocol/contribution.md). */
import { Generator } from "../draws/generator.js";
import { noiseKey } from "../draws/keys.js";
import { Stream } from "../draws/samples.js";
import type { Adversary, TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import type { Update, Updates } from "../wire/contributions.js";
import { prefixOf } from "../wire/manifest.js";
import { sizeOf } from "../wire/tensors.js";

const MIXED = 3;
const { fround } = Math;

/**
 * Returns a contribution as it may leave the device.
 *
 * @param manifest the manifest's bytes, from which the key of the noise is derived.
 * @param taskKey the client's 16 secret bytes for the task.
 * @param key the client's 16 secret bytes, from which the cover items are drawn.
 */
export function defend(
  task: TaskManifest,
  manifest: Uint8Array,
  contribution: Updates,
  taskKey: Uint8Array,
  round: bigint,
  key: Uint8Array,
): Updates {
  const { local, adversaries } = task.plan!;
  if (local!.coverRows === 0 && adversaries.every(({ clipNorm }) => clipNorm === 0)) return contribution;
  const own = noiseKey(taskKey, manifest);
  const out = new Map(contribution);
  adversaries.forEach((adversary, number) => {
    const names = [...out.keys()].filter((name) => name.startsWith(prefixOf(adversary.name))).sort();
    if (adversary.clipNorm > 0 && names.length > 0) {
      clipTo(out, names, adversary, new Generator(own, round, Stream.gaussian + number));
    }
  });
  if (local!.coverRows > 0) cover(out, task, key, new Generator(own, round, Stream.coverValues));
  return out;
}

/** Applies the Gaussian mechanism to an adversary's tensors: L2 norm at most `clipNorm`, noise in units of it. */
function clipTo(out: Map<string, Update>, names: readonly string[], adversary: Adversary, numbers: Generator): void {
  const squares = names.flatMap((name) => out.get(name)!.values.reduce((sum, value) => sum + value * value, 0));
  const norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
  const factor = fround(norm > 0 ? Math.min(1, adversary.clipNorm / norm) : 1);
  const deviation = fround(adversary.noiseMultiplier * adversary.clipNorm);
  for (const name of names) {
    const update = out.get(name)!;
    const noise = deviation === 0 ? undefined : numbers.normals(update.values.length);
    const noised = (value: number, place: number) =>
      noise === undefined ? value * factor : fround(value * factor) + fround(deviation * noise[place]!);
    out.set(name, { ...update, values: update.values.map(noised) });
  }
}

/** Adds rows of items to the tables that the local step did not touch. */
function cover(out: Map<string, Update>, task: TaskManifest, key: Uint8Array, numbers: Generator): void {
  const tables = [...out].filter(([, update]) => update.rows !== undefined);
  if (tables.length === 0) return;
  const touched = new Set(tables.flatMap(([, update]) => [...update.rows!]));
  const others = new Generator(key, 0n, Stream.cover).permutation(task.items).filter((row) => !touched.has(row));
  const rows = others.slice(0, rounded(task.plan!.local!.coverRows * touched.size));
  const mixed = Float64Array.from({ length: MIXED * rows.length }, () => numbers.float64());
  const root = fround(Math.sqrt(MIXED));
  const factors = numbers.normals(MIXED * rows.length).map((value) => value / root);
  for (const [name, update] of tables) out.set(name, covered(update, rows, mixed, factors));
}

/** Merges rows with cover rows made of them; `mixed` chooses the rows, as fractions of their number. */
function covered(update: Update, cover: Uint32Array, mixed: Float64Array, factors: Float32Array): Update {
  const width = sizeOf(update.shape.slice(1));
  const own = update.rows!;
  const made = new Float32Array(cover.length * width);
  for (let part = 0; part < MIXED; part++) {
    cover.forEach((_, place) => {
      const at = part * cover.length + place;
      const from = Math.floor(mixed[at]! * own.length) * width;
      for (let column = 0; column < width; column++) {
        made[place * width + column]! += fround(update.values[from + column]! * factors[at]!);
      }
    });
  }
  const rows = [...own, ...cover];
  const values = [...Array(rows.length).keys()].sort((left, right) => rows[left]! - rows[right]!);
  const merged = new Float32Array(rows.length * width);
  values.forEach((row, place) => {
    const source = row < own.length ? update.values : made;
    const start = (row < own.length ? row : row - own.length) * width;
    merged.set(source.subarray(start, start + width), place * width);
  });
  return { shape: [rows.length, ...update.shape.slice(1)], values: merged, rows: Uint32Array.from(rows).sort() };
}

/** Rounds to a whole number, a half to the even one. */
function rounded(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
