/** Carries tensors over from a task to its successor: along an item axis by item id (docs/protocol/successors.md). */
import type { TensorSpec } from "../gen/fedau2/v1/tensors_pb.js";
import { axisOf, lengthOf, spansOf } from "./itemAxes.js";
import { sameShape, sizeOf, type Tensor } from "./tensors.js";

/** The way from one catalogue to another. */
export class Succession {
  /** For each item of the new catalogue its row in the old one, or -1. */
  private readonly rows: readonly number[];
  private readonly before: number;

  /** Finds the items of the new catalogue in the old one, by their ids. */
  constructor(before: readonly string[], after: readonly string[]) {
    const known = new Map(before.map((item, row) => [item, row]));
    this.rows = after.map((item) => known.get(item) ?? -1);
    this.before = before.length;
  }

  /**
   * Carries one tensor over.
   *
   * @param spec the tensor in the new task.
   * @param old its numbers in the old task. Axes may precede those of the spec, such as one of clients.
   * @param fresh its numbers in the new task, where nothing is known; with the same axes before.
   * @returns undefined if the shapes do not fit, so that nothing can be carried over.
   */
  carried(spec: TensorSpec, old: Tensor, fresh: Tensor): Tensor | undefined {
    const own = axisOf(spec);
    if (own === undefined) return sameShape(old.shape, fresh.shape) ? old : undefined;
    const axis = own + fresh.shape.length - spec.shape.length;
    const expected = fresh.shape.map((length, place) => (place === axis ? lengthOf(spec, this.before) : length));
    if (!sameShape(old.shape, expected)) return undefined;
    const places = this.places(spec);
    const width = sizeOf(fresh.shape.slice(axis + 1));
    const values = fresh.values.slice();
    for (let outer = 0; outer < sizeOf(fresh.shape.slice(0, axis)); outer++) {
      const [from, to] = [outer * old.shape[axis]! * width, outer * places.length * width];
      places.forEach((place, number) => {
        if (place < 0) return;
        const start = from + place * width;
        values.set(old.values.subarray(start, start + width), to + number * width);
      });
    }
    return { shape: fresh.shape, values };
  }

  /** Returns, for each number along the item axis, its place in the old tensor, or -1. */
  private places(spec: TensorSpec): number[] {
    const places: number[] = [];
    let start = 0;
    for (const { perItem, others } of spansOf(spec)) {
      for (let place = 0; place < others; place++) places.push(start + place);
      for (const row of this.rows) {
        for (let place = 0; place < perItem; place++) places.push(row < 0 ? -1 : start + row * perItem + place);
      }
      start += perItem * this.before + others;
    }
    return places;
  }
}
