/** The SDK's public names on every platform. */
export { type Recommendation, VERSION } from "./client.js";
export * from "./errors.js";
export type { Event } from "./events.js";
export type { Personalisation } from "./personalisation/personaliser.js";
export type { Recorded } from "./recording.js";
export type { Kind } from "./protocol/values.js";
export type { Outcome } from "./protocol/session.js";
export type { RetryWindow } from "./retry.js";
export type { Settings } from "./settings.js";
