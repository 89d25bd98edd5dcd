/** Runs tests of Node in a page. */
import "../draws.test.js";
import "../indexeddb.test.js";
import "../personal.test.js";
import "../sessions.test.js";
import "../successors.test.js";
import "../training.test.js";
import "../weights.test.js";
import "../wire.test.js";
import "./client.test.js";
import { run } from "./shims/test.js";

Object.assign(globalThis, { results: run() });
