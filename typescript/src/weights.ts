/** The weights that a plan gives to interactions, and their way into the samples (docs/protocol/training.md). */
import type { Samples } from "./draws/samples.js";
import { UnsupportedTaskError } from "./errors.js";
import { Draw, type InteractionWeights } from "./gen/fedau2/v1/task_pb.js";
import type { Interaction } from "./protocol/values.js";

/** The items that training takes as a client's positives. */
export interface Positives {
  /** Catalogue rows, sorted and unique. */
  readonly rows: Uint32Array;
  /** Weights of these, each above 0; undefined if the plan has none. */
  readonly weights: Float32Array | undefined;
}

/** Returns the interactions without dislikes, and without those that a later dislike of the item revokes. */
export function liked(interactions: readonly Interaction[]): Interaction[] {
  const dislikes = new Map<string, number>();
  for (const { item, time, kind } of interactions) {
    if (kind === "dislike") dislikes.set(item, Math.max(time, dislikes.get(item) ?? -Infinity));
  }
  return interactions.filter(({ item, time }) => time > (dislikes.get(item) ?? -Infinity));
}

/**
 * Returns the items that training may take as positives.
 *
 * @param rows of the catalogue, by item.
 * @param plan the plan's weights; undefined: every interaction but a dislike counts 1.
 */
export function positivesOf(
  interactions: readonly Interaction[],
  rows: ReadonlyMap<string, number>,
  plan: InteractionWeights | undefined,
): Positives {
  const best = new Map<number, number>();
  for (const interaction of liked(interactions)) {
    const row = rows.get(interaction.item);
    const weight = plan === undefined ? 1 : Math.fround(weightOf(interaction, plan));
    if (row !== undefined && weight > 0) best.set(row, Math.max(weight, best.get(row) ?? 0));
  }
  const sorted = Uint32Array.from(best.keys()).sort();
  return { rows: sorted, weights: plan && Float32Array.from(sorted, (row) => best.get(row)!) };
}

/** Returns the weight of one interaction; 0: it is not a positive. */
export function weightOf({ kind, weight, value }: Interaction, plan: InteractionWeights): number {
  if (kind === "dislike") return 0;
  const own = kind === "rating" ? plan.rating * share(value ?? 0, plan) : plan[kind];
  return plan.appWeights ? own * weight : own;
}

function share(rating: number, { lowestRating, fullRating }: InteractionWeights): number {
  if (rating < lowestRating) return 0;
  return fullRating > 0 ? Math.min(rating / fullRating, 1) : 1;
}

/**
 * Puts the weights of a client's positives into the samples that were drawn from them.
 *
 * @throws UnsupportedTaskError the recommender draws in a way of its own.
 */
export function weighed(samples: readonly Samples[], draw: Draw, { rows, weights }: Positives): readonly Samples[] {
  if (weights === undefined) return samples;
  const byRow = new Map(Array.from(rows, (row, place) => [row, weights[place]!]));
  if (draw === Draw.CONTRASTS) return samples.map((step) => contrasts(step, byRow));
  if (draw === Draw.WHOLE) {
    return samples.map((step) => ({ ...step, labels: Float32Array.from(step.items, (row) => byRow.get(row)!) }));
  }
  throw new UnsupportedTaskError("the plan has weights of interactions, and the task's recommender draws without them");
}

/** The weight of a positive multiplies its own sample and the negatives that follow it. */
function contrasts(step: Samples, byRow: ReadonlyMap<number, number>): Samples {
  let weight = 1;
  const weights = step.weights.map((value, place) => {
    if (step.labels[place] === 1) weight = byRow.get(step.items[place]!)!;
    return value * weight;
  });
  return { ...step, weights };
}
