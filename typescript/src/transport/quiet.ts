/** Watches over a transfer. */
import { FedError } from "../errors.js";

/** Seconds that a call with a stream may take without a message. */
export const SILENCE = 60;

/** Ends a transfer in which nothing moves any more, or whose work must stop. */
export class Quiet {
  silent = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly cancel: () => void,
    private readonly signal: AbortSignal | undefined,
  ) {
    if (signal?.aborted) throw new FedError("the work is being stopped");
    signal?.addEventListener("abort", cancel);
    this.heard();
  }

  heard(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.silent = true;
      this.cancel();
    }, 1000 * SILENCE);
  }

  end(): void {
    clearTimeout(this.timer);
    this.signal?.removeEventListener("abort", this.cancel);
  }
}
