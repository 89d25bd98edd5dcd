/** The lease of a place in a round, by the device's own clock. */

/** Seconds of a transfer after which its speed is taken for the link's. */
const PATIENCE = 10;

/** Thrown within a session when its lease is over, or will be before a transfer has ended. */
export class TooSlow extends Error {}

/** The time from a check-in to the end of the upload. */
export class Lease {
  private readonly end: number;

  /**
   * @param seconds from now; Infinity: nothing is too slow.
   * @param clock seconds since some moment.
   */
  constructor(
    seconds: number,
    private readonly clock: () => number,
  ) {
    this.end = clock() + seconds;
  }

  /** Returns the seconds that are left. @throws TooSlow none are left. */
  left(): number {
    const left = this.end - this.clock();
    if (left <= 0) throw new TooSlow();
    return left;
  }

  /** Returns a function that is told how many bytes have come, and throws once they will outlast the lease. */
  watch(missing: number): (came: number) => void {
    const began = this.clock();
    return (came) => {
      const left = this.left();
      const spent = this.clock() - began;
      if (spent >= PATIENCE && (missing - came) * spent > left * came) throw new TooSlow();
    };
  }
}
