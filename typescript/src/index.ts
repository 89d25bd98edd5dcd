/** The SDK's public names in Node. */
export { FedClient, type Options } from "./node.js";
export * from "./names.js";
