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
import type { Model, PrivateState, Staged } from "./values.js";

/** What a platform brings: Node or a browser. */
export interface Platform {
  readonly runtime: Runtime;
  /** Verifies an Ed25519 signature; `key` is a PEM file's text. */
  verify(key: string, message: Uint8Array, signature: Uint8Array): Promise<boolean>;
}

/** One client's state (docs/protocol/store.md). A change is durable when its promise is fulfilled. */
export interface Store {
  key(): Promise<Uint8Array>;
  /** The recorded items, each once. */
  items(): Promise<string[]>;
  attribute(name: string): Promise<string | undefined>;
  private(taskId: string): Promise<PrivateState | undefined>;
  /** The last round of a task with a contribution that counted. */
  contributed(taskId: string): Promise<bigint | undefined>;
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
  /** Makes a model version the current one, and removes all blobs that are not among `addresses`. */
  adopt(model: Model, addresses: readonly Resource[]): Promise<void>;
  staged(): Promise<Staged | undefined>;
  stage(staged: Staged): Promise<void>;
  promote(assignmentId: Uint8Array): Promise<void>;
  discard(assignmentId: Uint8Array): Promise<void>;
}

/** What an app's client needs of its store besides. */
export interface ClientStore extends Store {
  /** Frees the state for another client. */
  close(): void | Promise<void>;
  /** Keeps items with times in microseconds since 1970. */
  record(interactions: readonly (readonly [string, number])[]): Promise<void>;
  /** Number of interactions that are kept. */
  recorded(): Promise<number>;
  /** Keeps an attribute of the user; undefined forgets it. */
  setAttribute(name: string, value: string | undefined): Promise<void>;
  /** When the current model was fetched, in milliseconds since 1970; undefined before the first. */
  renewed(): Promise<number | undefined>;
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
