/**
 * Seeds and random numbers. Outputs must be byte-identical on every machine, so this is integer arithmetic only up to
 * the last division, and nothing here may ever change without a new major version: a test pins the values.
 */

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

function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
}

/** @param seed a safe non-negative integer */
export function createRandom(seed: number): Random {
  const low = splitmix32(seed % 0x1_0000_0000);
  const high = splitmix32(Math.floor(seed / 0x1_0000_0000) ^ 0x5bd1e995);
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

/** 32-bit FNV-1a over the UTF-16 units of `text`, from `basis`. */
function hashText(text: string, basis: number): number {
  let hash = basis;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

/**
 * The seed of an event: a function of the task's seed, the file's GUID and the position, and of nothing else.
 *
 * @param taskSeed a safe non-negative integer
 * @param position 1-based
 * @returns a safe integer in [0, 2^53)
 */
export function eventSeed(taskSeed: number, guid: string, position: number): number {
  const low = splitmix32(hashText(guid, 0x811c9dc5 ^ (taskSeed % 0x1_0000_0000)) ^ position);
  const high = splitmix32(
    hashText(guid, 0x01234567 ^ Math.floor(taskSeed / 0x1_0000_0000)) + Math.imul(position, 0x9e3779b1),
  );
  const lowWord = (low() ^ high()) >>> 0;
  return (high() >>> 11) * 0x1_0000_0000 + lowWord;
}
