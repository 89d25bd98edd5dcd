import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { contrasts, type Samples, whole } from "../src/draws/samples.js";
import { UnsupportedTaskError } from "../src/errors.js";
import { Draw, InteractionWeightsSchema } from "../src/gen/fedau2/v1/task_pb.js";
import { positivesOf, weighed } from "../src/weights.js";
import { assertSame, assertSamples, bytes, maybe, positivesOf as positivesIn, vectors } from "./vectors.js";

const weights = vectors("weights");

test("positives", () => {
  for (const { catalogue, recorded, plan, rows, weights: expected } of weights.positives) {
    const places = new Map<string, number>(catalogue.map((item: string, row: number) => [item, row]));
    const read = (data: string) => fromBinary(InteractionWeightsSchema, bytes(data));
    const found = positivesOf(recorded, places, maybe(plan, read));
    assertSame(found.rows, rows);
    if (expected === null) assert.equal(found.weights, undefined);
    else assertSame(found.weights!, expected);
  }
});

test("weighed contrasts", () => {
  for (const vector of weights.contrasts) {
    const own = positivesIn(vector);
    const drawn = contrasts(vector, vector.items, own.rows, bytes(vector.key), BigInt(vector.round));
    assertSamples(weighed(drawn, Draw.CONTRASTS, own), vector.samples);
  }
});

test("weighed whole users", () => {
  for (const vector of weights.whole) {
    const own = positivesIn(vector);
    const drawn = whole(vector, own.rows, bytes(vector.key), BigInt(vector.round), vector.dropout, vector.noise);
    assertSamples(weighed(drawn, Draw.WHOLE, own), vector.samples);
  }
});

test("without weights the samples stay, and a recommender that draws in its own way has none", () => {
  const samples: Samples[] = [];
  const own = { rows: new Uint32Array(), weights: undefined };
  assert.equal(weighed(samples, Draw.UNSPECIFIED, own), samples);
  assert.throws(() => weighed(samples, Draw.UNSPECIFIED, { ...own, weights: new Float32Array() }), UnsupportedTaskError);
});
