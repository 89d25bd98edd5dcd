/** The package's entries: one for Node and one for browsers, which holds nothing of Node. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { build } from "esbuild";
import * as errors from "../src/errors.js";

const CODE = { contents: 'export * from "fedau2";', resolveDir: import.meta.dirname, loader: "js" } as const;

/** Returns the names of the package's own files that a bundle holds. */
async function bundled(platform: "browser" | "node"): Promise<string[]> {
  const external = platform === "node" ? ["better-sqlite3", "onnxruntime-node"] : [];
  const { metafile } = await build({ stdin: CODE, bundle: true, write: false, metafile: true, format: "esm", platform, external });
  return Object.keys(metafile.inputs).filter((path) => path.includes("build/src/"));
}

test("a bundle for browsers holds the browser's entry, and one for Node holds Node's", async () => {
  const [browser, node] = [await bundled("browser"), await bundled("node")];
  const has = (files: string[], name: string) => files.some((path) => path.endsWith(`src/${name}.js`));
  assert.deepEqual([has(browser, "browser"), has(browser, "node")], [true, false]);
  assert.deepEqual([has(node, "browser"), has(node, "node")], [false, true]);
  assert.ok(has(browser, "client") && has(node, "client"));
});

test("an error bears its name where a bundler shortens the names of classes", async () => {
  const contents = 'export * from "../src/errors.js";';
  const { outputFiles } = await build({ stdin: { ...CODE, contents }, bundle: true, write: false, minify: true, format: "esm" });
  const code = Buffer.from(outputFiles[0]!.contents).toString("base64");
  const shortened = (await import(`data:text/javascript;base64,${code}`)) as typeof errors;
  assert.equal(new shortened.StoreLostError("gone").name, "StoreLostError");
  assert.deepEqual(Object.keys(shortened), Object.keys(errors));
});
