/** A coordinator that a transcript of `conformance/sessions.json` scripts. */
import assert from "node:assert/strict";
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { bytesToHex } from "@noble/hashes/utils.js";
import { RefusedError, TransportError, UnknownCallError } from "../src/errors.js";
import * as device from "../src/gen/fedau2/v1/device_pb.js";
import { type Resource, RetryWindowSchema } from "../src/gen/fedau2/v1/task_pb.js";
import type { Transport } from "../src/protocol/interfaces.js";
import { windowOf } from "../src/retry.js";
import { bytes } from "./vectors.js";

/** A coordinator that answers as a transcript says, and expects what it says. */
export class Scripted implements Transport {
  private place = 0;

  constructor(
    private readonly calls: readonly any[], // eslint-disable-line @typescript-eslint/no-explicit-any
    private readonly blobs: ReadonlyMap<string, Uint8Array>,
  ) {}

  get done(): boolean {
    return this.place === this.calls.length;
  }

  close(): void {}

  async checkIn(request: device.CheckInRequest): Promise<device.CheckInResponse> {
    return this.unary("CheckIn", device.CheckInRequestSchema, request, device.CheckInResponseSchema);
  }

  async uploadOffset(request: device.UploadOffsetRequest): Promise<device.UploadOffsetResponse> {
    return this.unary("UploadOffset", device.UploadOffsetRequestSchema, request, device.UploadOffsetResponseSchema);
  }

  async reportFailure(request: device.ReportFailureRequest): Promise<device.ReportFailureResponse> {
    return this.unary("ReportFailure", device.ReportFailureRequestSchema, request, device.ReportFailureResponseSchema);
  }

  async *fetch({ sha256 }: Resource, offset: number): AsyncIterable<Uint8Array> {
    const call = this.next("FetchResource");
    const request = fromBinary(device.FetchResourceRequestSchema, bytes(call.request));
    assert.deepEqual([request.sha256, Number(request.offset)], [sha256, offset]);
    refuse(call);
    let start = offset;
    for (const size of call.pieces) {
      yield this.blobs.get(bytesToHex(sha256))!.subarray(start, (start += size));
    }
    if (call.broken) throw new TransportError("the connection broke");
  }

  async upload(header: device.UploadHeader, data: Uint8Array): Promise<device.UploadContributionResponse> {
    const call = this.next("UploadContribution");
    assert.deepEqual(header.assignmentId, bytes(call.header.assignment_id));
    assert.deepEqual([Number(header.size), Number(header.offset)], [call.header.size, call.header.offset]);
    assert.equal(data.length - Number(header.offset), call.sent);
    refuse(call);
    return fromBinary(device.UploadContributionResponseSchema, bytes(call.response));
  }

  private unary<I extends DescMessage, O extends DescMessage>(
    method: string,
    asked: I,
    request: MessageShape<I>,
    answered: O,
  ): MessageShape<O> {
    const call = this.next(method);
    // Fields that this SDK does not know are about features that it does not have.
    const expected = fromBinary(asked, bytes(call.request), { readUnknownFields: false });
    assert.deepEqual(toBinary(asked, request), toBinary(asked, expected));
    refuse(call);
    return fromBinary(answered, bytes(call.response));
  }

  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  private next(method: string): any {
    const call = this.calls[this.place++];
    assert.equal(method, call?.method);
    return call;
  }
}

function refuse(call: { status?: number; retry?: string; unknown?: true; unanswered?: true }): void {
  const retry = call.retry === undefined ? undefined : windowOf(fromBinary(RetryWindowSchema, bytes(call.retry)));
  if (call.status !== undefined) throw new RefusedError("refused", call.status, retry);
  if (call.unknown) throw new UnknownCallError("not known");
  if (call.unanswered) throw new TransportError("not answered");
}
