/** Watches what leaves the browser for a coordinator. */

/** The calls of a device, in plain words. */
const CALLS: Readonly<Record<string, string>> = {
  CheckIn: "asked for a place in a round",
  FetchResource: "asked for a part of the model",
  UploadPart: "sent a change of the model",
  UploadOffset: "asked where an upload goes on",
  ReportFailure: "gave a place back",
};

/** Tells the name and the size in bytes of the body of every request to an address from now on. */
export function watch(address: string, tell: (what: string, size: number) => void): void {
  const { fetch } = globalThis;
  globalThis.fetch = (input, init) => {
    if (String(input).startsWith(address)) {
      const call = String(input).split("/").at(-1)!;
      tell(CALLS[call] ?? call, sizeOf(init?.body));
    }
    return fetch(input, init);
  };
}

function sizeOf(body: BodyInit | null | undefined): number {
  return body instanceof Uint8Array ? body.byteLength : 0;
}
