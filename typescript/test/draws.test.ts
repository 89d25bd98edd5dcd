import { test } from "node:test";
import assert from "node:assert/strict";
import { fromBinary } from "@bufbuild/protobuf";
import { Generator } from "../src/draws/generator.js";
import { Philox } from "../src/draws/philox.js";
import { contrasts, headNoise, initial, Stream, whole } from "../src/draws/samples.js";
import { AREA, HEIGHT, WIDTH } from "../src/draws/ziggurat.js";
import { TensorSpecSchema } from "../src/gen/fedau2/v1/tensors_pb.js";
import { assertSame, assertSamples, bytes, numbers, vectors } from "./vectors.js";

const draws = vectors("draws");

const METHODS: Record<string, (generator: Generator, count: number) => ArrayLike<number>> = {
  normal: (generator, count) => generator.normals(count),
  float32: (generator, count) => Array.from({ length: count }, () => generator.float32()),
  float64: (generator, count) => Array.from({ length: count }, () => generator.float64()),
  permutation: (generator, count) => generator.permutation(count),
  bounded: (generator, count) => Array.from({ length: count }, () => generator.bounded(2_999_999_999)),
  mixed: (generator) => [
    ...Array.from({ length: 5 }, () => generator.float32()),
    ...Array.from({ length: 5 }, () => generator.float64()),
    ...Array.from({ length: 5 }, () => generator.float32()),
  ],
};

test("the ziggurat's tables", () => {
  for (const [name, found] of Object.entries({ area: AREA, width: WIDTH, height: HEIGHT })) {
    assertSame(found, draws.ziggurat[name]);
  }
});

test("streams have the numbers of numpy", () => {
  for (const { key, round, stream, words, method, numbers: expected } of draws.streams) {
    if (words !== undefined) {
      const bits = new Philox(bytes(key), BigInt(round), stream);
      assertSame(Array.from({ length: words.shape[0] }, () => Number(bits.uint64())), words);
    } else {
      assertSame(METHODS[method]!(new Generator(bytes(key), BigInt(round), stream), expected.shape[0]), expected);
    }
  }
});

test("private tensors have their initial values", () => {
  for (const { key, specs, values } of draws.initial) {
    const tensors = specs.map((spec: string) => fromBinary(TensorSpecSchema, bytes(spec)));
    for (const [name, found] of initial(tensors, bytes(key))) assertSame(found, values[name]);
  }
});

test("contrasts", () => {
  for (const { key, round, items, interactions, samples, ...local } of draws.contrasts) {
    const own = Uint32Array.from(numbers(interactions));
    assertSamples(contrasts(local, items, own, bytes(key), BigInt(round)), samples);
  }
});

test("whole users", () => {
  for (const { key, round, dropout, noise, interactions, samples, ...local } of draws.whole) {
    const own = Uint32Array.from(numbers(interactions));
    assertSamples(whole(local, own, bytes(key), BigInt(round), dropout, noise), samples);
  }
});

test("the heads' noise", () => {
  for (const { key, round, steps, adversaries, values } of draws.noise) {
    const plans = adversaries.map((plan: { classes: number }) => ({ ...plan, classes: Array(plan.classes).fill("") }));
    for (const [name, found] of headNoise(plans, steps, bytes(key), BigInt(round))) assertSame(found, values[name]);
  }
});

test("a stream is of its round and of its purpose alone", () => {
  const key = bytes(draws.streams[0].key);
  const first = (round: bigint, stream: number) => new Generator(key, round, stream).float64();
  const all = [first(0n, Stream.noise), first(1n, Stream.noise), first(0n, Stream.latent)];
  assert.equal(new Set(all).size, all.length);
});
