/** Watches what leaves the browser for a coordinator. */

/** Tells the call and the size in bytes of every request to an address from now on. */
export function watch(address: string, tell: (call: string, size: number) => void): void {
  const { fetch } = globalThis;
  globalThis.fetch = (input, init) => {
    const url = String(input);
    if (url.startsWith(address)) tell(url.slice(url.lastIndexOf("/") + 1), sizeOf(init?.body));
    return fetch(input, init);
  };
}

function sizeOf(body: BodyInit | null | undefined): number {
  return body instanceof Uint8Array ? body.byteLength : 0;
}
