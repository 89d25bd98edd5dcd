/** Bundles pages for tests. */
import { join } from "node:path";
import { build, type Plugin } from "esbuild";

const HERE = import.meta.dirname;
const PLACES: Readonly<Record<string, string>> = {
  "node:assert/strict": "shims/assert.js",
  "node:fs": "shims/files.js",
  "node:path": "shims/files.js",
  "node:test": "shims/test.js",
  "../src/platform.js": "platform.js",
  "./origin.js": "origin.js",
  "./states.js": "states.js",
};

/** Lets tests of Node run in a page. */
const shims: Plugin = {
  name: "shims",
  setup(builder) {
    builder.onResolve({ filter: /./ }, ({ path }) => {
      const place = PLACES[path];
      return place === undefined ? undefined : { path: join(HERE, place) };
    });
  },
};

/** Bundles a compiled page of this folder. Returns the script. */
export async function bundled(page: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(HERE, page)],
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    define: { "import.meta.dirname": '"/typescript/build/test"' },
    plugins: [shims],
  });
  return outputFiles[0]!.text;
}
