/** Carries a client's state over from a task to its successor (docs/protocol/successors.md). */
import type { TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { axisOf } from "../wire/itemAxes.js";
import { privateOf } from "../wire/manifest.js";
import type { KnownTask, Model } from "./values.js";

/** Returns a task as its successors need to know it, with the catalogue's bytes if they need it. */
export function known({ taskId, manifest }: Model, task: TaskManifest, catalogue: Uint8Array): KnownTask {
  // Older bundles do not name the axis of the items.
  const listed = privateOf(task).some((spec) => axisOf(spec) !== undefined || spec.shape[0] === task.items);
  return { taskId, manifest: manifest.sha256, recommender: task.model, catalogue: listed ? catalogue : undefined };
}
