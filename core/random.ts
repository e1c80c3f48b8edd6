/**
 * Seeds and random numbers. Outputs must be byte-identical on every machine, so nothing here may ever change without a
 * new major version: a test pins the values.
 *
 * Integers and uniform numbers need nothing but 32-bit arithmetic and one exact division. `gaussian` and `exponential`
 * also use `Math.log` and `Math.sqrt`: the square root is exact by IEEE 754, and V8 computes the logarithm (as `exp`,
 * `sin`, `cos`, `atan2`, `asinh`) by its own copy of fdlibm and not by the system's library, with equal results in
 * Node 20, 22 and 24. `Math.pow` and `**` are different in Node 24 and must not be used for what goes into an output.
 */

const TWO_TO_32 = 0x1_0000_0000;

/** A stream of random numbers: xoshiro128** (Blackman and Vigna, ACM TOMS 47 (2021) 36), seeded by splitmix32. */
export interface Random {
  /** uniform in [0, 1), 53 bits */
  uniform(): number;
  /** uniform integer in [0, 2^32) */
  uint32(): number;
  /** normal with mean 0 and standard deviation 1 (polar method) */
  gaussian(): number;
  /** exponential with mean 1 */
  exponential(): number;
}

/** MurmurHash3's 32-bit finaliser: a bijection in which every input bit reaches every output bit. */
function avalanche(word: number): number {
  let z = word;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return (z ^ (z >>> 16)) >>> 0;
}

function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    return avalanche(state);
  };
}

/** @param seed a safe non-negative integer */
export function createRandom(seed: number): Random {
  const low = splitmix32(seed % TWO_TO_32);
  const high = splitmix32(Math.floor(seed / TWO_TO_32) ^ 0x5bd1e995);
  let a = low() ^ high();
  let b = low() ^ high();
  let c = low() ^ high();
  let d = low() ^ high() ^ 1;
  let spare: number | undefined;

  const uint32 = (): number => {
    const five = Math.imul(b, 5);
    const result = Math.imul((five << 7) | (five >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  const uniform = (): number => ((uint32() >>> 5) * 0x400_0000 + (uint32() >>> 6)) / 0x20_0000_0000_0000;

  return {
    uint32,
    uniform,
    gaussian: () => {
      if (spare !== undefined) {
        const value = spare;
        spare = undefined;
        return value;
      }
      let u = 0;
      let v = 0;
      let s = 0;
      do {
        u = 2 * uniform() - 1;
        v = 2 * uniform() - 1;
        s = u * u + v * v;
      } while (s >= 1 || s === 0);
      const factor = Math.sqrt((-2 * Math.log(s)) / s);
      spare = v * factor;
      return u * factor;
    },
    exponential: () => -Math.log(1 - uniform()),
  };
}

/**
 * Two lanes of MurmurHash3's block mix (Appleby, public domain), which differ in their constants. 64 bits of state.
 * Every step is a bijection of each lane, so that inputs that differ in one word only never meet in either lane.
 */
interface HashLanes {
  first: number;
  second: number;
}

function absorb(lanes: HashLanes, word: number): void {
  let block = Math.imul(word, 0xcc9e2d51);
  block = Math.imul((block << 15) | (block >>> 17), 0x1b873593);
  const first = lanes.first ^ block;
  lanes.first = (Math.imul((first << 13) | (first >>> 19), 5) + 0xe6546b64) | 0;

  block = Math.imul(word, 0x239b961b);
  block = Math.imul((block << 17) | (block >>> 15), 0xab0e9789);
  const second = lanes.second ^ block;
  lanes.second = (Math.imul((second << 16) | (second >>> 16), 5) + 0x32ac3b17) | 0;
}

/**
 * The seed of an event: a function of the task's seed, the file's GUID and the position, and of nothing else.
 *
 * @param taskSeed a safe non-negative integer
 * @param position 1-based
 * @returns a safe integer in [0, 2^53)
 */
export function eventSeed(taskSeed: number, guid: string, position: number): number {
  const lanes: HashLanes = { first: 0x9747b28c, second: 0x5bd1e995 };
  for (let index = 0; index < guid.length; index += 1) absorb(lanes, guid.charCodeAt(index));
  absorb(lanes, taskSeed % TWO_TO_32);
  absorb(lanes, Math.floor(taskSeed / TWO_TO_32));
  absorb(lanes, position % TWO_TO_32);
  absorb(lanes, Math.floor(position / TWO_TO_32));
  const high = avalanche(lanes.first + avalanche(lanes.second));
  const low = avalanche(lanes.second ^ high);
  return (high >>> 11) * TWO_TO_32 + low;
}
