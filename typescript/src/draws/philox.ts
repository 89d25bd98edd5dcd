/** Philox4x64-10 with the counter and the buffers of numpy's `Philox`. */

const WORD = (1n << 64n) - 1n;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n] as const;
const WEYL = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn] as const;
const ROUNDS = 10;

type Block = [bigint, bigint, bigint, bigint];

/** Returns the four words that Philox4x64-10 makes of a counter and a key. */
export function philox(counter: Readonly<Block>, key: readonly [bigint, bigint]): Block {
  let [a, b, c, d] = counter;
  let [first, second] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const left = a * MULTIPLIERS[0];
    const right = c * MULTIPLIERS[1];
    [a, b, c, d] = [(right >> 64n) ^ b ^ first, right & WORD, (left >> 64n) ^ d ^ second, left & WORD];
    first = (first + WEYL[0]) & WORD;
    second = (second + WEYL[1]) & WORD;
  }
  return [a, b, c, d];
}

/** Whole numbers of one stream of a key: the words of the counters (n, 0, round, stream), n = 1, 2, ... */
export class Philox {
  private block: Block = [0n, 0n, 0n, 0n];
  private position = 4;
  private count = 0n;
  private half: number | undefined;
  private readonly key: readonly [bigint, bigint];

  /** @param key 16 bytes. */
  constructor(
    key: Uint8Array,
    private readonly round: bigint,
    private readonly stream: number,
  ) {
    const view = new DataView(key.buffer, key.byteOffset, 16);
    this.key = [view.getBigUint64(0, true), view.getBigUint64(8, true)];
  }

  /** The next 64 bits. */
  uint64(): bigint {
    if (this.position === 4) {
      this.count += 1n;
      this.block = philox([this.count, 0n, this.round, BigInt(this.stream)], this.key);
      this.position = 0;
    }
    return this.block[this.position++]!;
  }

  /** The next 32 bits: the low half of a word, then its high half, whatever 64-bit words are drawn in between. */
  uint32(): number {
    if (this.half !== undefined) {
      const half = this.half;
      this.half = undefined;
      return half;
    }
    const word = this.uint64();
    this.half = Number(word >> 32n);
    return Number(word & 0xffffffffn);
  }
}
