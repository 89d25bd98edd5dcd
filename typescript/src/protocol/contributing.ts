/** Makes a contribution and uploads it (docs/protocol/session.md, contribution.md). */
import { sha256 } from "@noble/hashes/sha2.js";
import { create } from "@bufbuild/protobuf";
import { DivergedError, FedError, RefusedError, TrainingError, TransportError } from "../errors.js";
import type { Event } from "../events.js";
import {
  type Assignment,
  type UploadContributionResponse,
  type UploadHeader,
  UploadHeaderSchema,
  UploadOffsetRequestSchema,
} from "../gen/fedau2/v1/device_pb.js";
import type { Runtime } from "../onnx/graph.js";
import { Training } from "../onnx/training.js";
import { windowOf } from "../retry.js";
import { CHUNK } from "../wire/blobs.js";
import { clip, encode } from "../wire/contributions.js";
import { finite } from "../wire/tensors.js";
import { defend } from "./defences.js";
import type { Store, Transport } from "./interfaces.js";
import type { Lease } from "./lease.js";
import type { Outcome } from "./session.js";
import { isFinal, Status } from "./status.js";
import { finiteState, type Job, type Staged, type TrainingResult } from "./values.js";

/** Seconds that a short call may take. */
export const CALL = 30;

/**
 * Trains for an assignment, and returns the contribution with the new private state.
 *
 * @param manifest the manifest's bytes.
 * @param key the client's 16 secret bytes.
 * @throws TrainingError, DivergedError training failed.
 * @throws TooSlow the lease is over.
 */
export async function train(
  runtime: Runtime,
  assignment: Assignment,
  job: Job,
  manifest: Uint8Array,
  key: Uint8Array,
  lease: Lease,
  signal: AbortSignal | undefined,
): Promise<Staged> {
  const training = await guarded(() => Training.begin(runtime, job));
  try {
    for (let step = 0; step < training.steps; step++) {
      signal?.throwIfAborted();
      lease.left();
      await guarded(() => training.step());
    }
  } finally {
    await training.free();
  }
  const result = training.finish();
  checkFinite(result);
  const defended = defend(job.manifest, manifest, result.contribution, job.key, job.round, key);
  const known = job.manifest.plan!.adversaries.filter(({ name }) => job.labels.has(name));
  return {
    assignmentId: assignment.assignmentId,
    taskId: assignment.taskId,
    round: assignment.round,
    contribution: encode(clip(defended, assignment.bound)),
    state: result.state,
    attributes: [...new Set(known.map(({ attribute }) => attribute))].sort(),
  };
}

/** Throws a `TrainingError` in place of an error of the engine. */
export async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FedError) throw error;
    throw new TrainingError(`the engine failed: ${(error as Error).name}`);
  }
}

/** Keeps a diverged result from the sum and from the device's state, which would never recover. */
function checkFinite({ contribution, state }: TrainingResult): void {
  if (!finiteState(state) || ![...contribution.values()].every(({ values }) => finite(values))) {
    throw new DivergedError("training gave values that are not finite; nothing was kept or sent");
  }
}

/**
 * Uploads a staged contribution, and promotes or discards its private state if the answer is final.
 *
 * @param emit called with the event that the answer is.
 * @param again an earlier upload may have broken off; this one goes on there.
 * @throws TooSlow the lease was over before; nothing was sent.
 */
export async function upload(
  store: Store,
  transport: Transport,
  staged: Staged,
  emit: (event: Event) => void,
  lease: Lease,
  signal: AbortSignal | undefined,
  again: boolean,
): Promise<Outcome> {
  const { taskId, round, contribution: data } = staged;
  const header = create(UploadHeaderSchema, {
    assignmentId: staged.assignmentId,
    size: BigInt(data.length),
    sha256: sha256(data),
  });
  if (again && data.length > CHUNK) header.offset = await offsetOf(transport, header, signal); // one chunk comes whole
  try {
    const response = await send(transport, header, data, lease, signal);
    await store.promote(staged.assignmentId);
    emit({ type: "uploaded", taskId, round });
    return { result: "uploaded", retry: windowOf(response.nextCheckIn), reason: "", refreshed: false };
  } catch (error) {
    if (!(error instanceof RefusedError) || !isFinal(error.status, error.retry !== undefined)) throw error;
    await store.discard(staged.assignmentId);
    emit({ type: "refused", taskId, round, reason: error.message });
    return { result: "refused", retry: error.retry, reason: error.message, refreshed: false };
  }
}

/** Asks where an upload goes on. Without a usable answer it begins at 0, and the coordinator answers the upload. */
async function offsetOf(transport: Transport, header: UploadHeader, signal: AbortSignal | undefined): Promise<bigint> {
  const { assignmentId, sha256: hash } = header;
  try {
    const request = create(UploadOffsetRequestSchema, { assignmentId, sha256: hash });
    const { offset } = await transport.uploadOffset(request, { within: CALL, signal });
    return offset <= header.size ? offset : 0n;
  } catch (error) {
    if (error instanceof RefusedError || (error instanceof TransportError && !error.temporary)) return 0n;
    throw error;
  }
}

/** Uploads from an offset on; from the beginning if the coordinator has lost what was before it. */
async function send(
  transport: Transport,
  header: UploadHeader,
  data: Uint8Array,
  lease: Lease,
  signal: AbortSignal | undefined,
): Promise<UploadContributionResponse> {
  try {
    return await transport.upload(header, data, { within: lease.left(), signal });
  } catch (error) {
    const lost = error instanceof RefusedError && error.status === Status.OUT_OF_RANGE;
    if (!lost || header.offset === 0n) throw error;
  }
  return transport.upload({ ...header, offset: 0n }, data, { within: lease.left(), signal });
}
