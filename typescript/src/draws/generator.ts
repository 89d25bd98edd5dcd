/** The distributions of numpy's `Generator` that the protocol draws from, number for number. */
import { Philox } from "./philox.js";
import { AREA, HEIGHT, INVERSE_TAIL, TAIL, WIDTH } from "./ziggurat.js";

const { fround } = Math;
const TWO_24 = 2 ** -24;
const TWO_53 = 2 ** -53;
const TWO_32 = 2 ** 32;

/** The numbers of one stream. */
export class Generator {
  private readonly bits: Philox;

  /**
   * @param key 16 secret bytes.
   * @param round the assignment's round.
   * @param stream one of `Stream`, or one that follows it.
   */
  constructor(key: Uint8Array, round: bigint, stream: number) {
    this.bits = new Philox(key, round, stream);
  }

  /** Uniform on [0, 1), a binary32. */
  float32(): number {
    return (this.bits.uint32() >>> 8) * TWO_24;
  }

  /** Uniform on [0, 1), a binary64. */
  float64(): number {
    return Number(this.bits.uint64() >> 11n) * TWO_53;
  }

  /** Standard normal binary32 numbers, by the ziggurat. */
  normals(count: number): Float32Array {
    return Float32Array.from({ length: count }, () => this.normal());
  }

  /** A whole number from 0 to `largest`, below 2^32, by Lemire's method; 0 draws nothing. */
  bounded(largest: number): number {
    if (largest === 0) return 0;
    const range = BigInt(largest) + 1n;
    const threshold = (BigInt(TWO_32) - range) % range;
    for (;;) {
      const product = BigInt(this.bits.uint32()) * range;
      if ((product & 0xffffffffn) >= threshold) return Number(product >> 32n);
    }
  }

  /** The numbers from 0 to before `count` in random order. */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, place) => place);
    for (let place = count - 1; place > 0; place--) {
      const other = this.masked(place);
      [order[place], order[other]] = [order[other]!, order[place]!];
    }
    return order;
  }

  /** A whole number from 0 to `largest`, which is above 0: the low bits of words, until they are not above it. */
  private masked(largest: number): number {
    const mask = 0xffffffff >>> Math.clz32(largest);
    for (;;) {
      const value = (this.bits.uint32() & mask) >>> 0;
      if (value <= largest) return value;
    }
  }

  private normal(): number {
    for (;;) {
      const word = this.bits.uint32();
      const layer = word & 0xff;
      const size = (word >>> 9) & 0x7fffff;
      const value = fround(size * WIDTH[layer]!) * (word & 0x100 ? -1 : 1);
      if (size < AREA[layer]!) return value;
      if (layer === 0) return this.tail(size);
      const step = fround(fround(HEIGHT[layer - 1]! - HEIGHT[layer]!) * this.float32());
      if (fround(step + HEIGHT[layer]!) < Math.exp(-0.5 * value * value)) return value;
    }
  }

  private tail(size: number): number {
    for (;;) {
      const beyond = fround(-INVERSE_TAIL * fround(Math.log1p(-this.float32())));
      const height = -fround(Math.log1p(-this.float32()));
      if (fround(height + height) > fround(beyond * beyond)) {
        const value = fround(TAIL + beyond);
        return (size >>> 8) & 1 ? -value : value;
      }
    }
  }
}
