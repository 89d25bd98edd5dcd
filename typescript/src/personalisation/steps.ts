/** A personal step: a local step of the task's training graph from which only the private tensors move. */
import { Stream } from "../draws/samples.js";
import { DivergedError } from "../errors.js";
import { Objective, type Plan } from "../gen/fedau2/v1/task_pb.js";
import type { Graph, Runtime } from "../onnx/graph.js";
import { draw, loadStep, Training } from "../onnx/training.js";
import { finiteState, type Job, type PrivateState } from "../protocol/values.js";

/**
 * The personal steps of one client on one model version.
 *
 * If an attribute of the client is known, the objective `confusion` is followed as in a contribution. The objective
 * `reversal` is left out: against an adversary that does not answer, it writes the label into the private tensors.
 */
export class PersonalSteps {
  private constructor(
    private job: Job,
    private readonly graph: Graph,
  ) {}

  /**
   * Loads the training graph.
   *
   * @param job its round is the model's.
   * @throws UnsupportedTaskError the graph cannot be used here.
   */
  static async begin(runtime: Runtime, job: Job): Promise<PersonalSteps> {
    const plan: Plan = { ...job.manifest.plan!, local: { ...job.manifest.plan!.local!, steps: 1 } };
    const confusing = plan.adversaries.filter(({ objective }) => objective === Objective.CONFUSION);
    const names = new Set(confusing.map(({ name }) => name));
    const labels = new Map([...job.labels].filter(([name]) => names.has(name)));
    return new PersonalSteps({ ...job, manifest: { ...job.manifest, plan }, labels }, await loadStep(runtime, job));
  }

  /** The client's private state after the steps that were taken. */
  get state(): PrivateState {
    return this.job.state;
  }

  /** Frees the graph. */
  free(): Promise<void> {
    return this.graph.free();
  }

  /**
   * Takes a step. If it throws, the state stays as it was.
   *
   * @param number of the step. No number may be used twice for a client and a task: its randomness would recur.
   * @throws NoDataError, UnsupportedTaskError the step cannot be taken.
   * @throws DivergedError it gave values that are not finite.
   */
  async step(number: number): Promise<void> {
    const training = new Training(this.job, this.graph, draw(this.job, BigInt(number), Stream.personal));
    await training.step();
    const { state } = training.finish();
    if (!finiteState(state)) {
      throw new DivergedError("a personal step gave values that are not finite; the state before it stays");
    }
    this.job = { ...this.job, state };
  }
}
