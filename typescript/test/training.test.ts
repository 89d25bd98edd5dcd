import { test } from "node:test";
import assert from "node:assert/strict";
import { fromBinary } from "@bufbuild/protobuf";
import { ContributionSchema } from "../src/gen/fedau2/v1/tensors_pb.js";
import { GraphKind } from "../src/gen/fedau2/v1/task_pb.js";
import { Training } from "../src/onnx/training.js";
import { NODE } from "../src/platform.js";
import { defend } from "../src/protocol/defences.js";
import { initialState } from "../src/protocol/preparation.js";
import { packState, unpackState } from "../src/protocol/values.js";
import { same } from "../src/wire/blobs.js";
import { clip, encode } from "../src/wire/contributions.js";
import { parse } from "../src/wire/manifest.js";
import { floats, unpack } from "../src/wire/tensors.js";
import { assertClose, blob, bundleFile, bytes, positivesOf, vectors } from "./vectors.js";

const { bound, updates } = vectors("training");
/** Compares contributions: tensors and rows exactly, and values closely. */
function assertContribution(found: Uint8Array, expected: Uint8Array): void {
  const [left, right] = [found, expected].map((data) => fromBinary(ContributionSchema, data).tensors);
  assert.deepEqual(left!.map(({ name, shape }) => [name, shape]), right!.map(({ name, shape }) => [name, shape]));
  left!.forEach(({ name, body }, place) => {
    const other = right![place]!.body;
    if (body.case === "rows" && other.case === "rows") {
      assert.deepEqual(body.value.indices, other.value.indices);
      assertClose(floats(body.value.values), floats(other.value.values), name);
    } else {
      assert.ok(body.case === "dense" && other.case === "dense");
      assertClose(floats(body.value), floats(other.value), name);
    }
  });
}

let exact = 0;
for (const [number, vector] of updates.entries()) {
  test(`local update ${number}: ${vector.bundle}, round ${vector.round}`, async () => {
    const data = bundleFile(vector.bundle, "manifest.binpb");
    const task = parse(data);
    const taskKey = bytes(vector.task_key);
    const before = unpackState(bytes(vector.before));
    if (before.steps === 0) assert.deepEqual(packState(initialState(task, taskKey)), bytes(vector.before));
    const training = await Training.begin(NODE.runtime, {
      manifest: task,
      tensors: unpack(blob(vector.bundle, task.checkpoint!)),
      round: BigInt(vector.round),
      key: taskKey,
      positives: positivesOf(vector),
      labels: new Map(Object.entries(vector.labels)),
      state: before,
      step: blob(vector.bundle, task.graphs.find(({ kind }) => kind === GraphKind.STEP)!.resource!),
    });
    for (let step = 0; step < training.steps; step++) await training.step();
    const result = training.finish();
    assertContribution(encode(result.contribution), bytes(vector.trained));
    const after = unpack(packState(result.state));
    for (const [name, { values }] of unpack(bytes(vector.after))) assertClose(after.get(name)!.values, values, name);
    const defended = defend(task, data, result.contribution, taskKey, BigInt(vector.round), bytes(vector.key));
    const sent = encode(clip(defended, bound));
    assertContribution(sent, bytes(vector.contribution));
    if (same(sent, bytes(vector.contribution))) exact += 1;
  });
}

test("how many contributions have the very bytes", (t) => t.diagnostic(`${exact} of ${updates.length}`));
