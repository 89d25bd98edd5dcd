/** Reaches a coordinator over gRPC, in Node. */
import { Client, type ClientUnaryCall, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import * as device from "../gen/fedau2/v1/device_pb.js";
import type { Resource } from "../gen/fedau2/v1/task_pb.js";
import type { Limit, Transport } from "../protocol/interfaces.js";
import { chunks } from "../wire/blobs.js";
import { RETRY_METADATA, translated } from "./answers.js";
import { Quiet } from "./quiet.js";

const SERVICE = "/fedau2.v1.DeviceService/";
const LOOPBACK = /^(?:dns:(?:\/\/\/)?|ipv4:|ipv6:)?(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i;
/** A coordinator and how to reach it: by TLS, unless it is on this machine or `insecure` says so. */
export interface Address {
  readonly coordinator: string;
  /** PEM of the authorities to trust. */
  readonly rootCertificates?: Uint8Array | undefined;
  readonly insecure?: boolean | undefined;
}

/** `Transport` over gRPC. */
export class GrpcTransport implements Transport {
  private readonly client: Client;
  private readonly name: string;

  constructor({ coordinator, rootCertificates, insecure = false }: Address) {
    const plaintext = insecure || (rootCertificates === undefined && LOOPBACK.test(coordinator));
    const roots = rootCertificates === undefined ? null : Buffer.from(rootCertificates);
    const options = LOOPBACK.test(coordinator) ? { "grpc.enable_http_proxy": 0 } : {};
    this.client = new Client(coordinator, plaintext ? credentials.createInsecure() : credentials.createSsl(roots), options);
    this.name = coordinator;
  }

  close(): void {
    this.client.close();
  }

  checkIn(request: device.CheckInRequest, limit: Limit): Promise<device.CheckInResponse> {
    return this.unary("CheckIn", device.CheckInRequestSchema, request, device.CheckInResponseSchema, limit);
  }

  uploadOffset(request: device.UploadOffsetRequest, limit: Limit): Promise<device.UploadOffsetResponse> {
    return this.unary("UploadOffset", device.UploadOffsetRequestSchema, request, device.UploadOffsetResponseSchema, limit);
  }

  reportFailure(request: device.ReportFailureRequest, limit: Limit): Promise<device.ReportFailureResponse> {
    const [asked, answered] = [device.ReportFailureRequestSchema, device.ReportFailureResponseSchema];
    return this.unary("ReportFailure", asked, request, answered, limit);
  }

  async *fetch({ sha256 }: Resource, offset: number, limit: Limit): AsyncIterable<Uint8Array> {
    const request = create(device.FetchResourceRequestSchema, { sha256, offset: BigInt(offset) });
    const path = `${SERVICE}FetchResource`;
    const read = (data: Buffer) => fromBinary(device.FetchResourceResponseSchema, data);
    const write = (message: device.FetchResourceRequest) => Buffer.from(toBinary(device.FetchResourceRequestSchema, message));
    const call = this.client.makeServerStreamRequest(path, write, read, request, new Metadata(), deadline(limit.within));
    const quiet = new Quiet(() => call.cancel(), limit.signal);
    try {
      for await (const message of call) {
        quiet.heard();
        yield (message as device.FetchResourceResponse).data;
      }
    } catch (error) {
      throw this.translated(error as ServiceError, quiet);
    } finally {
      quiet.end();
      call.cancel();
    }
  }

  async upload(
    header: device.UploadHeader,
    data: Uint8Array,
    limit: Limit,
  ): Promise<device.UploadContributionResponse> {
    const write = (message: device.UploadContributionRequest) =>
      Buffer.from(toBinary(device.UploadContributionRequestSchema, message));
    const read = (bytes: Buffer) => fromBinary(device.UploadContributionResponseSchema, bytes);
    let quiet: Quiet | undefined;
    try {
      return await new Promise<device.UploadContributionResponse>((resolve, reject) => {
        const path = `${SERVICE}UploadContribution`;
        const call = this.client.makeClientStreamRequest(path, write, read, new Metadata(), deadline(limit.within), (e, v) =>
          v === undefined ? reject(e!) : resolve(v),
        );
        quiet = new Quiet(() => call.cancel(), limit.signal);
        call.on("error", () => undefined); // the callback above has it
        const requests = requestsOf(header, data);
        const push = () => {
          for (let next = requests.next(); !next.done; next = requests.next()) {
            quiet!.heard();
            if (!call.write(next.value)) return void call.once("drain", push);
          }
          call.end();
        };
        push();
      });
    } catch (error) {
      throw this.translated(error as ServiceError, quiet);
    } finally {
      quiet?.end();
    }
  }

  private async unary<I extends DescMessage, O extends DescMessage>(
    method: string,
    asked: I,
    request: MessageShape<I>,
    answered: O,
    limit: Limit,
  ): Promise<MessageShape<O>> {
    let call: ClientUnaryCall | undefined;
    const abort = () => call?.cancel();
    limit.signal?.throwIfAborted();
    limit.signal?.addEventListener("abort", abort);
    try {
      return await new Promise<MessageShape<O>>((resolve, reject) => {
        const write = (message: MessageShape<I>) => Buffer.from(toBinary(asked, message));
        const read = (data: Buffer) => fromBinary(answered, data);
        call = this.client.makeUnaryRequest(
          SERVICE + method,
          write,
          read,
          request,
          new Metadata(),
          deadline(limit.within),
          (error, value) => (value === undefined ? reject(error!) : resolve(value)),
        );
      });
    } catch (error) {
      throw this.translated(error as ServiceError);
    } finally {
      limit.signal?.removeEventListener("abort", abort);
    }
  }

  /** Turns gRPC's errors into the SDK's. */
  private translated(error: ServiceError, quiet?: Quiet): Error {
    const { code, details, metadata } = error;
    if (code === undefined) return error;
    const [window] = metadata?.get(RETRY_METADATA) ?? [];
    return translated({ code, details, window: window instanceof Buffer ? window : undefined }, this.name, quiet);
  }
}

function* requestsOf(header: device.UploadHeader, data: Uint8Array): Generator<device.UploadContributionRequest> {
  yield create(device.UploadContributionRequestSchema, { part: { case: "header", value: header } });
  for (const chunk of chunks(data, Number(header.offset))) {
    yield create(device.UploadContributionRequestSchema, { part: { case: "data", value: chunk } });
  }
}

function deadline(within: number): { deadline?: number } {
  return Number.isFinite(within) ? { deadline: Date.now() + 1000 * within } : {};
}
