/** Prints what the SDK adds to a page: `node build/test/browser/sizes.js`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const PACKAGE = join(import.meta.dirname, "../../..");
const WASM = "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm";

const { outputFiles, metafile } = await build({
  entryPoints: [join(PACKAGE, "build/src/browser.js")],
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
});

const parts = new Map<string, number>();
for (const [path, { bytesInOutput }] of Object.entries(Object.values(metafile.outputs)[0]!.inputs)) {
  const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? (path.includes("/gen/") ? "messages" : "fedau2");
  parts.set(name, (parts.get(name) ?? 0) + bytesInOutput);
}

function line(name: string, data: Uint8Array): string {
  return `${name}: ${data.length} bytes, ${gzipSync(data, { level: 9 }).length} with gzip`;
}

console.log(line("script", outputFiles[0]!.contents));
for (const [name, size] of [...parts].sort(([, left], [, right]) => right - left)) console.log(`  ${name}: ${size} bytes`);
console.log(line("WebAssembly", readFileSync(join(PACKAGE, WASM))));
