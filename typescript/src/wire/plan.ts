/** Checks the plan of a manifest (docs/protocol/manifest.md). */
import {
  type Adversary,
  Head,
  type LocalUpdate,
  Objective,
  type Optimizer,
  OptimizerKind,
  type Plan,
  Trigger,
} from "../gen/fedau2/v1/task_pb.js";
import { expect, known, positive, within } from "./checks.js";

const MAX_STEPS = 1_000;
const MAX_PARAMETERS = 64;
const MAX_ADVERSARIES = 16;
const MAX_NAME = 128;
const utf8 = new TextEncoder();

/**
 * Checks a plan against the names of the private tensors and derived states that it may protect.
 *
 * @throws UnsupportedTaskError the text says what is wrong.
 */
export function checkPlan(plan: Plan | undefined, states: ReadonlySet<string>): void {
  checkLocal(plan?.local);
  const parameters = Object.entries(plan!.parameters);
  expect(parameters.length <= MAX_PARAMETERS, `the plan has more than ${MAX_PARAMETERS} parameters`);
  for (const [name, value] of parameters) {
    expect(named(name), "a parameter's name is empty or longer than 128 bytes");
    expect(Number.isFinite(value), `parameter '${name}' must be a finite number, not ${value}`);
  }
  checkOptimizer("server.shared", plan!.server?.shared);
  expect(plan!.adversaries.length <= MAX_ADVERSARIES, `more than ${MAX_ADVERSARIES} adversaries`);
  const names = plan!.adversaries.map((adversary) => adversary.name);
  expect(new Set(names).size === names.length, "two adversaries have the same name");
  for (const adversary of plan!.adversaries) checkAdversary(adversary, states);
  if (names.length > 0) checkOptimizer("server.adversary", plan!.server?.adversary);
  const { clipNorm, clipMedians } = plan!.server!;
  expect(within(clipNorm, 0, Infinity), "server.clip_norm must be 0 or a positive number");
  expect(within(clipMedians, 0, Infinity), "server.clip_medians must be 0 or a positive number");
  expect(clipMedians === 0 || clipNorm > 0, "server.clip_medians needs a positive server.clip_norm");
}

/** Says whether a name of a tensor or parameter has 1 to 128 bytes. */
export function named(name: string): boolean {
  const size = utf8.encode(name).length;
  return size > 0 && size <= MAX_NAME;
}

function checkLocal(local: LocalUpdate | undefined): void {
  expect(local !== undefined && within(local.steps, 1, MAX_STEPS + 1), `local.steps must lie in [1, ${MAX_STEPS}]`);
  expect(local!.negatives >= 1, "local.negatives must be at least 1");
  expect(local!.chunk >= 1, "local.chunk must be at least 1");
  expect(positive(local!.privateLearningRate), "local.private_learning_rate must be positive");
  expect(within(local!.coverRows, 0, Infinity), "local.cover_rows must not be negative");
  expect(local!.steps === 1 || positive(local!.sharedLearningRate), "local.shared_learning_rate must be positive");
}

function checkAdversary(adversary: Adversary, states: ReadonlySet<string>): void {
  const where = `adversary '${adversary.name}'`;
  expect(adversary.name !== "" && adversary.attribute !== "", `${where}: name and attribute must be given`);
  expect(!adversary.name.includes("."), `${where}: a name must not contain a dot`);
  expect(adversary.classes.length >= 2, `${where}: fewer than two classes`);
  expect(new Set(adversary.classes).size === adversary.classes.length, `${where}: a class is listed twice`);
  expect(adversary.protects.length > 0, `${where}: protects is empty`);
  expect(adversary.protects.every((state) => states.has(state)), `${where}: protects unknown states`);
  expect(known(Head, adversary.head), `${where}: unknown head ${adversary.head}`);
  expect(known(Trigger, adversary.trigger), `${where}: unknown trigger`);
  const spread = adversary.head === Head.DSVAE || adversary.head === Head.SCALAR;
  expect(!spread || positive(adversary.variance), `${where}: variance must be positive`);
  expect(within(adversary.epsilon, 0, Infinity), `${where}: epsilon must not be negative`);
  expect(adversary.objective in Objective, `${where}: unknown objective ${adversary.objective}`);
  expect(within(adversary.clipNorm, 0, Infinity), `${where}: clip_norm must be 0 or a positive number`);
  expect(within(adversary.noiseMultiplier, 0, Infinity), `${where}: noise_multiplier must be 0 or a positive number`);
  expect(adversary.noiseMultiplier === 0 || adversary.clipNorm > 0, `${where}: noise_multiplier needs a clip_norm`);
  for (const numbers of [adversary.classWeights, adversary.prior]) {
    expect([0, adversary.classes.length].includes(numbers.length), `${where}: one number per class, or none`);
    expect(numbers.every(positive), `${where}: every class weight and prior must be positive`);
  }
}

function checkOptimizer(where: string, optimizer: Optimizer | undefined): void {
  expect(optimizer !== undefined && known(OptimizerKind, optimizer.kind), `${where}: unknown optimizer`);
  expect(positive(optimizer!.learningRate), `${where}: learning_rate must be positive`);
  if (optimizer!.kind !== OptimizerKind.ADAM) return;
  expect(within(optimizer!.beta1, 0, 1) && within(optimizer!.beta2, 0, 1), `${where}: betas must lie in [0, 1)`);
  expect(positive(optimizer!.epsilon), `${where}: epsilon must be positive`);
}
