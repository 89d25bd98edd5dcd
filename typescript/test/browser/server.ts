/** Serves pages on loopback, with the repository's files beside them. */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const REPOSITORY = join(import.meta.dirname, "../../../..");
const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** A page that runs the script `/page.js`. */
export const PAGE =
  '<!doctype html><meta charset="utf-8"><title>FedAU2</title><link rel="icon" href="data:,">' +
  '<script type="module" src="/page.js"></script>';
/** Path of the runtime's WebAssembly. */
export const WASM = "/typescript/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm";

/** Serves texts by path, and files. Returns the server and its address. */
export async function serve(texts: ReadonlyMap<string, string>, port = 0): Promise<{ server: Server; address: string }> {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url!, "http://localhost").pathname);
    const text = texts.get(path);
    const file = join(REPOSITORY, path);
    const known = text !== undefined || (existsSync(file) && statSync(file).isFile());
    response.writeHead(known ? 200 : 404, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
    if (text !== undefined || !known) response.end(text);
    else createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { server, address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
