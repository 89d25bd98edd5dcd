/** The seams of the SDK: the store of a client's state, the way to the coordinator, and the platform. */
import type { Runtime } from "../onnx/graph.js";
import type {
  CheckInRequest,
  CheckInResponse,
  ReportFailureRequest,
  ReportFailureResponse,
  UploadContributionResponse,
  UploadHeader,
  UploadOffsetRequest,
  UploadOffsetResponse,
} from "../gen/fedau2/v1/device_pb.js";
import type { Resource } from "../gen/fedau2/v1/task_pb.js";
import type { Memory } from "./releases.js";
import type { Adoption, Interaction, KnownTask, Model, Personal, PrivateState, Staged } from "./values.js";

/** What a platform brings: Node or a browser. */
export interface Platform {
  readonly runtime: Runtime;
  /** Verifies an Ed25519 signature; `key` is a public key in DER. */
  verify(key: Uint8Array<ArrayBuffer>, message: Uint8Array, signature: Uint8Array): Promise<boolean>;
}

/**
 * One client's state (docs/protocol/store.md). A change is durable when its promise is fulfilled, and is made whole or
 * not at all. Every method throws a `StoreError` where the state cannot be used.
 */
export interface Store extends Memory {
  /** The client's 16 secret bytes, made once. */
  key(): Promise<Uint8Array>;

  /** All interactions, in the order in which they were recorded. */
  interactions(): Promise<Interaction[]>;
  /** The number of interactions that were ever recorded, also those that are not kept any more. */
  ever(): Promise<number>;
  /**
   * Adds interactions. Beyond the most that the store keeps, those with the oldest times are dropped.
   *
   * @returns how many were dropped.
   * @throws StoreError none of the new ones would be kept, because the store is full of newer ones.
   */
  record(interactions: readonly Interaction[]): Promise<number>;
  /**
   * Removes the interactions with an item, or those of one time, and leaves no trace of them. If there were any, it
   * withdraws what is staged, whose round counts as contributed, and removes all personal states, but not their `steps`.
   *
   * @returns how many interactions were removed.
   */
  forget(item: string, time?: number): Promise<number>;

  attribute(name: string): Promise<string | undefined>;
  /** Keeps an attribute's value; undefined forgets it without a trace. */
  setAttribute(name: string, value: string | undefined): Promise<void>;

  /** The private state that contributions build on; undefined before the first that counted. */
  private(taskId: string): Promise<PrivateState | undefined>;
  /** The last round of a task with a contribution that counted. */
  contributed(taskId: string): Promise<bigint | undefined>;
  /** What personal steps have made; undefined before the first of a task. */
  personal(taskId: string): Promise<Personal | undefined>;
  /** Keeps it, and the states of at most `TASKS` tasks: those kept last. */
  keepPersonal(taskId: string, personal: Personal): Promise<void>;

  /** A cached blob; undefined if it is missing or damaged. */
  blob(address: Resource): Promise<Uint8Array | undefined>;
  keepBlob(address: Resource, data: Uint8Array): Promise<void>;
  /** The first bytes of a blob, which have come in an earlier transfer. */
  part(address: Resource): Promise<Uint8Array>;
  /** Keeps the first bytes of a blob, in place of the part of any other. */
  keepPart(address: Resource, data: Uint8Array): Promise<void>;
  /** Removes all blobs but these and those of the current model. */
  makeRoom(addresses: readonly Resource[]): Promise<void>;

  model(): Promise<Model | undefined>;
  /** When the current model was adopted, in milliseconds since 1970; undefined before the first. */
  renewed(): Promise<number | undefined>;
  /**
   * Makes a model version the current one, knows its task unless it is known, and keeps what was carried over to it. All
   * blobs that the adoption does not name are removed.
   */
  adopt(adoption: Adoption): Promise<void>;
  /**
   * The tasks that were adopted, the first one first. A task is known as long as there is a private state, a model or a
   * contribution of it, and its catalogue as long as there is a private state or a model.
   */
  tasks(): Promise<KnownTask[]>;

  staged(): Promise<Staged | undefined>;
  /** @throws StoreError something is staged already. */
  stage(staged: Staged): Promise<void>;
  /** Makes the staged state the task's private state. The private states of the `TASKS` last tasks are kept. */
  promote(assignmentId: Uint8Array): Promise<void>;
  discard(assignmentId: Uint8Array): Promise<void>;

  /** Lets another client use the state. */
  close(): Promise<void>;
}

/** How long a call may take, and what ends it. */
export interface Limit {
  /** Seconds. */
  readonly within: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The way to a coordinator. Every method throws `RefusedError` where the call is refused, and `TransportError` where it
 * is not answered.
 */
export interface Transport {
  checkIn(request: CheckInRequest, limit: Limit): Promise<CheckInResponse>;
  fetch(address: Resource, offset: number, limit: Limit): AsyncIterable<Uint8Array>;
  upload(header: UploadHeader, data: Uint8Array, limit: Limit): Promise<UploadContributionResponse>;
  uploadOffset(request: UploadOffsetRequest, limit: Limit): Promise<UploadOffsetResponse>;
  reportFailure(request: ReportFailureRequest, limit: Limit): Promise<ReportFailureResponse>;
  close(): void;
}
