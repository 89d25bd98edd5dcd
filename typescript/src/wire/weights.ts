/** Checks what a plan says about the weights of interactions (docs/protocol/manifest.md). */
import type { InteractionWeights, TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { expect } from "./checks.js";

/** The feature that a task with weights requires: a device that does not know it would train without them. */
export const FEATURE = "interaction-weights";
/** Largest rating, and largest weight that an app gives. */
export const MOST_RATING = 1_000_000;

/** Largest weight in a plan. */
const MOST = 1_000;

/**
 * Checks that a task with weights requires the feature, and the weights.
 *
 * @throws UnsupportedTaskError the text says what is wrong.
 */
export function checkWeights({ plan, requiredFeatures }: TaskManifest): void {
  const weights = plan?.interactions;
  if (weights === undefined) return;
  expect(requiredFeatures.includes(FEATURE), `the plan has weights, and the manifest does not require ${FEATURE}`);
  const kinds = ["view", "like", "purchase", "rating"] as const;
  for (const name of kinds) checkRange(weights, name, MOST);
  for (const name of ["lowestRating", "fullRating"] as const) checkRange(weights, name, MOST_RATING);
  expect(kinds.some((name) => weights[name] > 0), "interactions: no kind is a positive");
}

type Field = "view" | "like" | "purchase" | "rating" | "lowestRating" | "fullRating";

function checkRange(weights: InteractionWeights, name: Field, most: number): void {
  const value = weights[name];
  expect(value >= 0 && value <= most, `interactions.${name} must be a number between 0 and ${most}, not ${value}`);
}
