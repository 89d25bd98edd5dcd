/** Reaches a coordinator's web port by the Connect protocol, in a browser. */
import { type CallOptions, type Client, ConnectError, createClient, decodeBinaryHeader } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { RefusedError, TransportError } from "../errors.js";
import * as device from "../gen/fedau2/v1/device_pb.js";
import type { Resource } from "../gen/fedau2/v1/task_pb.js";
import type { Limit, Transport } from "../protocol/interfaces.js";
import { Status } from "../protocol/status.js";
import { CHUNK } from "../wire/blobs.js";
import { RETRY_METADATA, translated } from "./answers.js";
import { Quiet } from "./quiet.js";

/** `Transport` over Connect. Browsers cannot stream requests, so an upload goes in parts, one call each. */
export class ConnectTransport implements Transport {
  private readonly client: Client<typeof device.DeviceService>;
  /** An upload of this session may begin at 0 once more, because the coordinator has lost its parts. */
  private mayRestart = true;

  /** @param coordinator address of its web port, which begins with `https://`, or with `http://` on this machine. */
  constructor(private readonly coordinator: string) {
    this.client = createClient(
      device.DeviceService,
      createConnectTransport({ baseUrl: coordinator, useBinaryFormat: true }),
    );
  }

  close(): void {}

  checkIn(request: device.CheckInRequest, limit: Limit): Promise<device.CheckInResponse> {
    return this.unary((options) => this.client.checkIn(request, options), limit);
  }

  uploadOffset(request: device.UploadOffsetRequest, limit: Limit): Promise<device.UploadOffsetResponse> {
    return this.unary((options) => this.client.uploadOffset(request, options), limit);
  }

  reportFailure(request: device.ReportFailureRequest, limit: Limit): Promise<device.ReportFailureResponse> {
    return this.unary((options) => this.client.reportFailure(request, options), limit);
  }

  async *fetch({ sha256 }: Resource, offset: number, limit: Limit): AsyncIterable<Uint8Array> {
    const ending = new AbortController();
    const quiet = new Quiet(() => ending.abort(), limit.signal);
    const options = optionsOf({ ...limit, signal: ending.signal });
    try {
      for await (const { data } of this.client.fetchResource({ sha256, offset: BigInt(offset) }, options)) {
        quiet.heard();
        yield data;
      }
    } catch (error) {
      throw this.translated(error, quiet);
    } finally {
      quiet.end();
      ending.abort();
    }
  }

  async upload(header: device.UploadHeader, data: Uint8Array, limit: Limit): Promise<device.UploadContributionResponse> {
    const end = performance.now() + 1000 * limit.within;
    const left = () => ({ ...limit, within: Math.max(0.001, (end - performance.now()) / 1000) });
    for (let start = Number(header.offset); ; ) {
      try {
        const { offset, done } = await this.part(header, data, start, left());
        if (done !== undefined) return done;
        start = this.next(start, Number(offset), data.length);
      } catch (error) {
        const lost = error instanceof RefusedError && error.status === Status.OUT_OF_RANGE;
        const restart = lost && this.mayRestart && start > Number(header.offset);
        this.mayRestart = false; // the session itself begins anew if the first part was refused
        if (!restart) throw error;
        start = 0;
      }
    }
  }

  private async part(header: device.UploadHeader, data: Uint8Array, start: number, limit: Limit) {
    const request = { header: { ...header, offset: BigInt(start) }, data: data.subarray(start, start + CHUNK) };
    const ending = new AbortController();
    const quiet = new Quiet(() => ending.abort(), limit.signal);
    try {
      return await this.client.uploadPart(request, optionsOf({ ...limit, signal: ending.signal }));
    } catch (error) {
      throw this.translated(error, quiet);
    } finally {
      quiet.end();
    }
  }

  /** Returns where the part after the one at `start` begins. @throws TransportError the answer makes no sense. */
  private next(start: number, offset: number, size: number): number {
    if (offset > start && offset < size) return offset;
    throw new TransportError(`${this.coordinator} holds ${offset} of ${size} bytes after a part at ${start}, and is not done`);
  }

  private async unary<O>(call: (options: CallOptions) => Promise<O>, limit: Limit): Promise<O> {
    limit.signal?.throwIfAborted();
    try {
      return await call(optionsOf(limit));
    } catch (error) {
      throw this.translated(error);
    }
  }

  private translated(thrown: unknown, quiet?: Quiet): Error {
    const { code, rawMessage, metadata } = ConnectError.from(thrown);
    return translated({ code, details: rawMessage, window: windowOf(metadata) }, this.coordinator, quiet);
  }
}

function optionsOf({ within, signal }: Limit): CallOptions {
  return { ...(Number.isFinite(within) && { timeoutMs: Math.ceil(1000 * within) }), ...(signal && { signal }) };
}

function windowOf(metadata: Headers): Uint8Array | undefined {
  const window = metadata.get(RETRY_METADATA);
  try {
    return window === null ? undefined : decodeBinaryHeader(window);
  } catch {
    return undefined;
  }
}
