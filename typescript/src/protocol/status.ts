/** The gRPC status codes that the protocol gives a meaning. */
export const Status = {
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
} as const;

const FINAL: ReadonlySet<number> = new Set([
  Status.ABORTED,
  Status.ALREADY_EXISTS,
  Status.FAILED_PRECONDITION,
  Status.INVALID_ARGUMENT,
  Status.NOT_FOUND,
  Status.RESOURCE_EXHAUSTED,
]);

/** Says whether a refusal of an upload is the coordinator's last word on it. */
export function isFinal(status: number, hasWindow: boolean): boolean {
  // A local timeout has the code of an expired lease, but only the coordinator adds a retry window.
  return FINAL.has(status) || (status === Status.DEADLINE_EXCEEDED && hasWindow);
}
