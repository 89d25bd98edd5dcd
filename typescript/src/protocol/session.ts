/** A device's side of one round (docs/protocol/session.md). */
import { create } from "@bufbuild/protobuf";
import { taskKey } from "../draws/keys.js";
import {
  DamagedTaskError,
  FedError,
  NoDataError,
  RefusedError,
  ResourceLimitError,
  StoreError,
  TransportError,
  UnknownCallError,
  UnsupportedTaskError,
  UntrustedTaskError,
} from "../errors.js";
import type { Event } from "../events.js";
import {
  type Assignment,
  CheckInRequestSchema,
  FailureReason,
  type ModelVersion,
  RejectionReason,
  ReportFailureRequestSchema,
} from "../gen/fedau2/v1/device_pb.js";
import type { TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { type RetryWindow, seconds, windowOf } from "../retry.js";
import { offered } from "../wire/encodings.js";
import { positivesOf } from "../weights.js";
import { CALL, train, upload } from "./contributing.js";
import { type Fetched, Fetcher } from "./fetching.js";
import type { Platform, Store, Transport } from "./interfaces.js";
import { Lease, TooSlow } from "./lease.js";
import { labels, rowsOf, stateOf } from "./preparation.js";
import { Status } from "./status.js";
import { lastContribution } from "./succession.js";
import type { Trust } from "./trust.js";
import type { Model, Staged } from "./values.js";

/** The end of a session, and the time of the next check-in. */
export interface Outcome {
  readonly result: "uploaded" | "rejected" | "refused" | "interrupted";
  /** Undefined if the coordinator gave none. */
  readonly retry: RetryWindow | undefined;
  readonly reason: string;
  /** The newest model was fetched, although the device had no place in the round. */
  readonly refreshed: boolean;
}

/** What a session works with. */
export interface Context {
  readonly store: Store;
  readonly transport: Transport;
  readonly platform: Platform;
  readonly trust: Trust;
  readonly population: string;
  readonly version: string;
  /** Called with each event as it happens. */
  readonly emit: (event: Event) => void;
  /** True if the client could not use a place in a round; it asks for none then. */
  readonly withoutPlace: boolean;
  /** Says whether a newest model is to be fetched without a place. */
  readonly wanted: (model: Model) => Promise<boolean>;
  readonly signal: AbortSignal | undefined;
  /** Seconds since some moment. */
  readonly clock: () => number;
}

/** Seconds in which a place is given back once the work must stop. */
const PARTING = 2;
const FOREVER = new Lease(Infinity, () => 0);

/** Errors by which a task is refused, and not this device or this moment. */
const REFUSED = [UnsupportedTaskError, UntrustedTaskError, ResourceLimitError, DamagedTaskError];

class TooSoon extends Error {}

/**
 * Makes one check-in and, if assigned, one contribution. An upload that was never answered is made again instead.
 *
 * @throws TaskError, StoreError the task cannot be run here; the assignment has been given back.
 * @throws TransportError, RefusedError a call failed; a staged contribution stays staged.
 */
export async function session(context: Context): Promise<Outcome> {
  const { store, transport, emit, signal } = context;
  const staged = await store.staged();
  if (staged !== undefined) return upload(store, transport, staged, emit, FOREVER, signal, true);
  const { population, version: clientVersion, withoutPlace } = context;
  const request = create(CheckInRequestSchema, { population, clientVersion, withoutPlace });
  const { result } = await transport.checkIn(request, { within: CALL, signal });
  if (result.case === "assignment") return contribute(context, result.value);
  const rejection = result.value;
  const reason = RejectionReason[rejection?.reason ?? 0];
  const outcome: Outcome = {
    result: "rejected",
    retry: windowOf(rejection?.retry),
    reason: `REJECTION_REASON_${reason ?? rejection?.reason}`,
    refreshed: false,
  };
  emit({ type: "rejected", reason: outcome.reason });
  return rejection?.model === undefined ? outcome : refresh(context, modelOf(rejection.model), outcome);
}

/** Fetches a model without a place in a round, if it is wanted. Returns the outcome, which says so. */
async function refresh(context: Context, model: Model, outcome: Outcome): Promise<Outcome> {
  if (!(await context.wanted(model))) return outcome;
  const { store, transport, trust, population, emit, signal } = context;
  const fetcher = new Fetcher(store, transport, model, trust, population, FOREVER, signal);
  try {
    await adopt(context, fetcher, model, await fetcher.manifest());
  } catch (error) {
    refuse(context, model, error);
    if (signal?.aborted) return { ...outcome, result: "interrupted" };
    // A newer model has replaced it meanwhile, which the next check-in names.
    if (!(error instanceof RefusedError) || error.status !== Status.NOT_FOUND) throw error;
    emit({ type: "downloadDropped", taskId: model.taskId, round: model.round });
    return outcome;
  }
  return { ...outcome, refreshed: true };
}

/** Fetches all of a model but its manifest, and emits that it is here. */
async function adopt({ store, emit }: Context, fetcher: Fetcher, model: Model, task: TaskManifest): Promise<Fetched> {
  const current = await store.model();
  const fetched = await fetcher.rest(task);
  if (fetched.event !== undefined) emit(fetched.event);
  const { taskId, round } = model;
  if (current?.taskId !== taskId || current.round !== round) emit({ type: "newModel", taskId, round });
  return fetched;
}

/** Emits that a model is not run here, if the error says so. */
function refuse({ emit }: Context, { taskId, round }: Model, error: unknown): void {
  if (REFUSED.some((kind) => error instanceof kind)) {
    emit({ type: "taskRefused", taskId, round, error: error as FedError });
  }
}

/** Makes the contribution for a place, or gives the place back. */
async function contribute(context: Context, assignment: Assignment): Promise<Outcome> {
  const { store, transport, emit, signal } = context;
  const lease = new Lease(seconds(assignment.lease), context.clock);
  const { taskId, round } = assignment;
  let staged: Staged;
  try {
    emit({ type: "joined", taskId, round });
    staged = await trained(context, assignment, lease);
    await store.stage(staged);
  } catch (error) {
    return giveBack(context, assignment, error);
  }
  emit({ type: "trained", taskId, round });
  try {
    return await upload(store, transport, staged, emit, lease, signal, false);
  } catch (error) {
    const unknown = error instanceof UnknownCallError; // a coordinator that does not take uploads in parts
    if (!(error instanceof TooSlow || unknown)) throw error;
    await store.discard(staged.assignmentId);
    if (!unknown) emit({ type: "contributionDropped", taskId, round });
    return giveBack(context, assignment, error);
  }
}

async function trained(context: Context, assignment: Assignment, lease: Lease): Promise<Staged> {
  const { store, transport, platform, trust, population, signal } = context;
  const model = modelOf(assignment);
  if (!(assignment.bound > 0)) throw new UnsupportedTaskError("the coordinator states no bound for contributions");
  const fetcher = new Fetcher(store, transport, model, trust, population, lease, signal);
  const task = await fetcher.manifest();
  const last = await lastContribution(store, model, task);
  // Twice in one round would count one user twice, and with the same noise.
  const separation = BigInt(Math.max(1, task.plan!.minimumSeparation));
  if (last !== undefined && model.round - last < separation) throw new TooSoon();
  const fetched = await adopt(context, fetcher, model, task);
  const key = await store.key();
  const job = {
    manifest: task,
    tensors: fetched.tensors,
    round: model.round,
    key: taskKey(key, model.taskId),
    positives: positivesOf(await store.interactions(), rowsOf(await kept(store, task)), task.plan!.interactions),
    labels: await labels(store, task),
    state: await stateOf(store, model.taskId, task),
    step: fetched.step,
  };
  const manifest = (await store.blob(model.manifest))!;
  return train(platform.runtime, assignment, job, manifest, key, lease, signal);
}

async function kept(store: Store, task: TaskManifest): Promise<Uint8Array> {
  const data = await store.blob(task.catalogue!);
  if (data === undefined) throw new StoreError("the task's catalogue is missing or damaged; sync again to fetch it");
  return data;
}

/** Gives a place back, and ends as the error says, which is thrown unless it is a signal of this module. */
async function giveBack(context: Context, assignment: Assignment, error: unknown): Promise<Outcome> {
  const reason = context.signal?.aborted ? FailureReason.INTERRUPTED : failure(error);
  refuse(context, modelOf(assignment), error);
  const retry = await report(context, assignment, reason);
  const outcome = { retry, reason: `FAILURE_REASON_${FailureReason[reason]}`, refreshed: false };
  if (context.signal?.aborted) return { ...outcome, result: "interrupted", reason: "" };
  if (error instanceof TooSlow) return refresh(context, modelOf(assignment), { ...outcome, result: "interrupted" });
  if (error instanceof TooSoon) {
    context.emit({ type: "rejected", reason: outcome.reason });
    return refresh(context, modelOf(assignment), { ...outcome, result: "rejected" });
  }
  throw error;
}

async function report(context: Context, assignment: Assignment, reason: FailureReason): Promise<RetryWindow | undefined> {
  const request = create(ReportFailureRequestSchema, { assignmentId: assignment.assignmentId, reason });
  try {
    const within = context.signal?.aborted ? PARTING : CALL;
    return windowOf((await context.transport.reportFailure(request, { within, signal: undefined })).nextCheckIn);
  } catch (error) {
    if (error instanceof FedError) return undefined; // the lease runs out by itself
    throw error;
  }
}

function failure(error: unknown): FailureReason {
  const unsupported = [UnsupportedTaskError, UntrustedTaskError, ResourceLimitError];
  if (error instanceof UnknownCallError) return FailureReason.UNSUPPORTED;
  if (error instanceof TransportError || error instanceof RefusedError) return FailureReason.INTERRUPTED;
  if (error instanceof TooSlow) return FailureReason.TOO_SLOW;
  if (error instanceof TooSoon) return FailureReason.TOO_SOON;
  if (error instanceof NoDataError) return FailureReason.NO_DATA;
  if (unsupported.some((kind) => error instanceof kind)) return FailureReason.UNSUPPORTED;
  return FailureReason.TRAINING;
}

function modelOf(message: Assignment | ModelVersion): Model {
  return {
    taskId: message.taskId,
    round: message.round,
    manifest: message.manifest!,
    checkpoint: offered(message),
  };
}
