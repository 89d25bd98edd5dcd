/** The private tensors' Adam (Kingma and Ba, 2015, algorithm 1), number for number as docs/protocol/training.md. */
import type { PrivateState } from "../protocol/values.js";
import type { Tensor, Tensors } from "../wire/tensors.js";

const { fround } = Math;
const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/** The three binary32 numbers of a step that depend on how many were taken. */
interface Rates {
  readonly inverse: number;
  readonly epsilon: number;
}

/** Returns the rates of the step with number `taken`, from 1. */
export function rates(taken: number, learningRate: number): Rates {
  const rate = learningRate / (1 - BETA1 ** taken);
  const root = Math.sqrt(1 - BETA2 ** taken);
  return { inverse: fround(1 / (rate * root)), epsilon: fround(EPSILON / rate) };
}

/** Returns the state after a step; the arguments are not changed. */
export function adamStep(state: PrivateState, gradients: Tensors, learningRate: number): PrivateState {
  const steps = state.steps + 1;
  const rate = rates(steps, learningRate);
  const parts = { values: new Map<string, Tensor>(), first: new Map<string, Tensor>(), second: new Map<string, Tensor>() };
  for (const [name, { shape, values: gradient }] of gradients) {
    const first = gradient.map((g, i) => moment(g, state.first.get(name)!.values[i]!));
    const second = gradient.map((g, i) => square(g, state.second.get(name)!.values[i]!));
    const values = state.values.get(name)!.values.map((value, i) => {
      const scale = fround(fround(fround(Math.sqrt(second[i]!)) * rate.inverse) + rate.epsilon);
      return value - fround(first[i]! / scale);
    });
    for (const [part, numbers] of Object.entries({ values, first, second })) {
      parts[part as keyof typeof parts].set(name, { shape, values: numbers });
    }
  }
  return { ...parts, steps };
}

function moment(gradient: number, before: number): number {
  return fround(fround(gradient - before) * fround(1 - BETA1)) + before;
}

function square(gradient: number, before: number): number {
  return fround(before * fround(BETA2)) + fround(fround(gradient * gradient) * fround(1 - BETA2));
}
