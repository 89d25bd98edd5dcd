/** Watches what leaves the browser for a coordinator. */

/** Tells the call, the size of the body in bytes, and whether there was an answer, of each request to an address. */
export function watch(address: string, tell: (call: string, size: number, answered: boolean) => void): void {
  const { fetch } = globalThis;
  globalThis.fetch = (input, init) => {
    const url = String(input);
    const response = fetch(input, init);
    if (!url.startsWith(address)) return response;
    const call = url.slice(url.lastIndexOf("/") + 1);
    const told = (answered: boolean) => tell(call, sizeOf(init?.body), answered);
    response.then(
      () => told(true),
      () => told(false),
    );
    return response;
  };
}

function sizeOf(body: BodyInit | null | undefined): number {
  return body instanceof Uint8Array ? body.byteLength : 0;
}
