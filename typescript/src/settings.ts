/** What an app sets when it opens a client, and the checks of it. */
import { duration, text, whole } from "./arguments.js";
import { UsageError } from "./errors.js";
import { STEPS } from "./personalisation/personaliser.js";
import type { Platform } from "./protocol/interfaces.js";
import { Trust } from "./protocol/trust.js";

const INTERACTIONS = 100_000;
const DAY = 86_400;
const utf8 = new TextEncoder();

/** Arguments of `FedClient.open` that every platform has. */
export interface Settings {
  /** Name of the population that this device belongs to, at most 128 bytes. */
  readonly population: string;
  /** Ed25519 public keys (PEM) whose signatures on tasks are trusted; without it every task is run. */
  readonly publishers?: readonly string[];
  /** Runs no task that was signed without a release, not even before it has seen one. It needs publishers. */
  readonly requireRelease?: boolean;
  /** Most interactions that are kept; 100,000 by default. */
  readonly maxInteractions?: number;
  /**
   * Age in seconds from which a sync fetches a newer model although the round has no place for this device; a day by
   * default. Infinity: no age.
   */
  readonly maxModelAge?: number;
  /**
   * Personal steps that a sync takes at its end, after a new model or a tenth new records, as `personalise` does; 20 by
   * default. 0: it takes none.
   */
  readonly personalSteps?: number;
}

/** Settings that were checked, without gaps. */
export interface Checked {
  readonly population: string;
  /** Decides which tasks are trusted. */
  readonly trust: Trust;
  readonly maxInteractions: number;
  readonly maxModelAge: number;
  readonly personalSteps: number;
}

/** Checks an app's settings. @throws UsageError one has a wrong type or value. */
export function checkedSettings(settings: Settings, platform: Platform): Checked {
  const { publishers, maxInteractions = INTERACTIONS, maxModelAge = DAY, personalSteps = STEPS } = settings;
  const population = text("population", settings.population);
  if (utf8.encode(population).length > 128) throw new UsageError("population has at most 128 bytes");
  return {
    population,
    trust: new Trust(platform, publishers, settings.requireRelease),
    maxInteractions: whole("maxInteractions", maxInteractions),
    maxModelAge: duration("maxModelAge", maxModelAge),
    personalSteps: whole("personalSteps", personalSteps, 0),
  };
}
