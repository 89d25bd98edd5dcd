import assert from "node:assert/strict";
import { test } from "node:test";
import { GraphKind, Objective, type TaskManifest } from "../src/gen/fedau2/v1/task_pb.js";
import { PersonalSteps } from "../src/personalisation/steps.js";
import { NODE } from "../src/platform.js";
import { packState, unpackState } from "../src/protocol/values.js";
import { parse } from "../src/wire/manifest.js";
import { unpack } from "../src/wire/tensors.js";
import { assertClose, blob, bundleFile, bytes, positivesOf, vectors } from "./vectors.js";

function taskOf(bundle: string, confusing: readonly string[]): TaskManifest {
  const task = parse(bundleFile(bundle, "manifest.binpb"));
  for (const adversary of task.plan!.adversaries) {
    if (confusing.includes(adversary.name)) adversary.objective = Objective.CONFUSION;
  }
  return task;
}

for (const vector of vectors("personal")) {
  test(`personal step ${vector.number}: ${vector.bundle} ${vector.confusing}`, async () => {
    const task = taskOf(vector.bundle, vector.confusing);
    const personal = await PersonalSteps.begin(NODE.runtime, {
      manifest: task,
      tensors: unpack(blob(vector.bundle, task.checkpoint!)),
      round: BigInt(vector.round),
      key: bytes(vector.task_key),
      positives: positivesOf(vector),
      labels: new Map(Object.entries(vector.labels)),
      state: unpackState(bytes(vector.before)),
      step: blob(vector.bundle, task.graphs.find(({ kind }) => kind === GraphKind.STEP)!.resource!),
    });
    await personal.step(vector.number);
    const [found, expected] = [unpack(packState(personal.state)), unpack(bytes(vector.after))];
    assert.deepEqual([...found.keys()], [...expected.keys()]);
    for (const [name, { values }] of expected) assertClose(found.get(name)!.values, values, name);
  });
}
