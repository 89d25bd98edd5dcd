/** Builds the folder that the demo's server serves: `node build/demo/build.js`. */
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const PACKAGE = join(import.meta.dirname, "../..");
const SITE = join(PACKAGE, "build/site");
const WASM = "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm";

rmSync(SITE, { recursive: true, force: true });
mkdirSync(SITE, { recursive: true });
for (const name of ["index.html", "style.css", "films.json"]) cpSync(join(PACKAGE, "demo", name), join(SITE, name));
cpSync(join(PACKAGE, WASM), join(SITE, "ort-wasm-simd-threaded.wasm"));
await build({
  entryPoints: [join(PACKAGE, "build/demo/app.js")],
  bundle: true,
  minify: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  outfile: join(SITE, "app.js"),
});
