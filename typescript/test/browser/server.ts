/** Serves pages on loopback, with the repository's files beside them. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
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

/** Serves texts by path, files, and the names in folders. Returns the server and its address. */
export async function serve(texts: ReadonlyMap<string, string>, port = 0): Promise<{ server: Server; address: string }> {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url!, "http://localhost").pathname);
    const found = texts.get(path) ?? read(join(REPOSITORY, path));
    response.writeHead(found === undefined ? 404 : 200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
    response.end(found);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { server, address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function read(path: string): string | Uint8Array | undefined {
  if (!existsSync(path)) return undefined;
  return statSync(path).isFile() ? readFileSync(path) : JSON.stringify(readdirSync(path));
}
