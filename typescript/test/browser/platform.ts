/** The browser's platform, under the name by which the tests of Node import theirs. */
import { BROWSER, useWasm } from "../../src/browserPlatform.js";

useWasm("/typescript/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm");

export { BROWSER as NODE };
