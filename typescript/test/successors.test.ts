import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { taskKey } from "../src/draws/keys.js";
import { TaskManifestSchema } from "../src/gen/fedau2/v1/task_pb.js";
import { initialState } from "../src/protocol/preparation.js";
import { carriedState } from "../src/protocol/succession.js";
import { packState, unpackState } from "../src/protocol/values.js";
import { bytes, maybe, vectors } from "./vectors.js";

for (const { name, task: data, key, task_id: taskId, items, ancestor, tensors, carried } of vectors("successors")) {
  test(`a successor: ${name}`, () => {
    const task = fromBinary(TaskManifestSchema, bytes(data));
    const { recommender, items: before, state } = ancestor;
    const known = { recommender, items: maybe(before, (ids: string[]) => ids) };
    const old = unpackState(bytes(state));
    const found = carriedState(task, items, known, old, initialState(task, taskKey(bytes(key), taskId)));
    assert.deepEqual(found.tensors, tensors);
    assert.deepEqual(packState(found.state), bytes(carried));
  });
}
