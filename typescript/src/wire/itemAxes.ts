/** The item axis of a tensor: along which axis the items lie, and how many numbers each has there. */
import { TensorKind, type TensorSpec } from "../gen/fedau2/v1/tensors_pb.js";
import { expect } from "./checks.js";

/** A part of an item axis: numbers for each item, or others; one of the two is 0. */
export interface Span {
  readonly perItem: number;
  readonly others: number;
}

/** Returns the axis along which the items lie, counted from 0; undefined: there is no such axis. */
export function axisOf(spec: TensorSpec): number | undefined {
  if (spec.itemAxis > 0) return spec.itemAxis - 1;
  return spec.kind === TensorKind.TABLE ? 0 : undefined;
}

/** Returns the spans of a tensor's item axis. */
export function spansOf(spec: TensorSpec): readonly Span[] {
  return spec.itemSpans.length > 0 ? spec.itemSpans : [{ perItem: 1, others: 0 }];
}

/** Returns the length of a tensor's item axis for a catalogue of so many items. */
export function lengthOf(spec: TensorSpec, items: number): number {
  return spansOf(spec).reduce((sum, { perItem, others }) => sum + perItem * items + others, 0);
}

/**
 * Checks a tensor's item axis.
 *
 * @throws UnsupportedTaskError the text says what is wrong.
 */
export function checkItemAxis(spec: TensorSpec, items: number): void {
  const { name, shape, kind, itemSpans } = spec;
  const axis = axisOf(spec);
  if (axis === undefined) return expect(itemSpans.length === 0, `${name}: spans without an item axis`);
  expect(axis < shape.length, `${name}: item axis ${axis + 1} of ${shape.length} axes`);
  const first = axis === 0 && itemSpans.length === 0;
  expect(kind !== TensorKind.TABLE || first, `${name}: the items of a table lie along its first axis`);
  for (const { perItem, others } of spansOf(spec)) {
    expect((perItem === 0) !== (others === 0), `${name}: a span of ${perItem} and ${others} numbers`);
  }
  const expected = lengthOf(spec, items);
  expect(shape[axis] === expected, `${name}: ${shape[axis]} numbers along the items instead of ${expected}`);
}
