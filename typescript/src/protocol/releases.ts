/** Refuses signed bundles that are for other devices, that newer ones have followed, or whose time is over. */
import { ReleaseError } from "../errors.js";
import type { TaskManifest } from "../gen/fedau2/v1/task_pb.js";

/** Seconds by which the clocks of publishers and devices may differ. */
const SKEW = 300;

/** What a device remembers of releases, durably. */
export interface Memory {
  /** The least sequence number that is accepted for a population, by publisher (hexadecimal). */
  leastSequences(population: string): Promise<ReadonlyMap<string, number>>;
  /** Raises a least sequence number, which never falls. */
  raiseSequence(population: string, publisher: string, sequence: number): Promise<void>;
}

/** What a device asks of the releases of its bundles. */
export interface Device {
  readonly population: string;
  readonly memory: Memory;
  /** Seconds since 1970. */
  readonly time: () => number;
}

/**
 * Returns if a device may run a task, whose manifest has been checked, and remembers its sequence number. That of a
 * release that has ended is passed, so that a clock which is set back does not revive it.
 *
 * @param publisher the key by which it was signed, hexadecimal.
 * @param required true to refuse bundles without a release, even before the first one with a release was seen.
 * @throws ReleaseError it may not run it.
 */
export async function expectRelease(
  { release }: TaskManifest,
  publisher: string,
  { population, memory, time }: Device,
  required: boolean,
): Promise<void> {
  const least = await memory.leastSequences(population);
  if (release === undefined) {
    if (!required && least.size === 0) return;
    throw new ReleaseError("the bundle was signed without a release, and the device expects one: sign it again");
  }
  if (release.population !== population) {
    throw new ReleaseError(`the bundle was signed for the population ${release.population}, not for this one`);
  }
  const sequence = Number(release.sequence);
  const floor = least.get(publisher) ?? 0;
  if (sequence < floor) {
    throw new ReleaseError(
      `the bundle has the sequence number ${sequence}, and the least that the device still accepts is ${floor}: ` +
        "a newer bundle has followed it, or its time is over",
    );
  }
  const now = time();
  if (Number(release.issued) > now + SKEW) throw new ReleaseError("the bundle was signed in the future, by this device's clock");
  const over = release.expires > 0n && now >= Number(release.expires) + SKEW;
  await memory.raiseSequence(population, publisher, over ? sequence + 1 : sequence);
  if (over) throw new ReleaseError("the time for which the bundle was signed is over");
}
