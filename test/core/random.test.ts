import { describe, expect, it } from 'vitest';
import { createRandom, eventSeed } from '../../core/random.ts';

const GUIDS = [
  '5B1C9B2E-6A39-8F00-9C11-0D5A3C7E4F21',
  '5B1C9B2E-6A39-8F00-9C11-0D5A3C7E4F22',
  'FFFFFFFF-FFFF-8FFF-BFFF-FFFFFFFFFFFF',
] as const;

/** Values pinned here are part of every output ever written: they may change with a new major version only. */
describe('pinned values', () => {
  it('of event seeds', () => {
    expect([
      eventSeed(0, GUIDS[0], 1),
      eventSeed(1, GUIDS[0], 1),
      eventSeed(1, GUIDS[0], 2),
      eventSeed(1, GUIDS[1], 1),
      eventSeed(Number.MAX_SAFE_INTEGER, GUIDS[2], 100_000_000),
    ]).toMatchInlineSnapshot(`
      [
        4407223932035515,
        7080215436763481,
        5763094024753155,
        2940325213310447,
        5099020749499137,
      ]
    `);
  });

  it('of a stream', () => {
    const random = createRandom(20_260_101);
    expect([
      random.uint32(),
      random.uint32(),
      random.uniform(),
      random.gaussian(),
      random.gaussian(),
      random.exponential(),
    ]).toMatchInlineSnapshot(`
      [
        3920033719,
        221941730,
        0.9094311082484833,
        -1.1158971346080528,
        -0.18489616130951672,
        1.363979939476899,
      ]
    `);
  });
});

describe('the generator', () => {
  /** Blackman and Vigna's reference, in big integers, seeded the same way. */
  function reference(seed: bigint): () => number {
    const mask = 0xffffffffn;
    const splitmix = (start: bigint) => {
      let state = start & mask;
      return () => {
        state = (state + 0x9e3779b9n) & mask;
        let z = state;
        z = ((z ^ (z >> 16n)) * 0x85ebca6bn) & mask;
        z = ((z ^ (z >> 13n)) * 0xc2b2ae35n) & mask;
        return z ^ (z >> 16n);
      };
    };
    const low = splitmix(seed & mask);
    const high = splitmix((seed >> 32n) ^ 0x5bd1e995n);
    const s: [bigint, bigint, bigint, bigint] = [low() ^ high(), low() ^ high(), low() ^ high(), low() ^ high() ^ 1n];
    const rotate = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
    return () => {
      const result = (rotate((s[1] * 5n) & mask, 7n) * 9n) & mask;
      const t = (s[1] << 9n) & mask;
      s[2] ^= s[0];
      s[3] ^= s[1];
      s[1] ^= s[2];
      s[0] ^= s[3];
      s[2] ^= t;
      s[3] = rotate(s[3], 11n);
      return Number(result);
    };
  }

  it('is xoshiro128**, for seeds below and above 32 bits', () => {
    for (const seed of [0, 1, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER]) {
      const random = createRandom(seed);
      const expected = reference(BigInt(seed));
      for (let count = 0; count < 200; count += 1) expect(random.uint32()).toBe(expected());
    }
  });

  it('has the moments of its distributions', () => {
    const random = createRandom(7);
    const count = 200_000;
    const moments = (draw: () => number) => {
      let sum = 0;
      let squares = 0;
      for (let index = 0; index < count; index += 1) {
        const value = draw();
        sum += value;
        squares += value * value;
      }
      return { mean: sum / count, variance: squares / count - (sum / count) * (sum / count) };
    };
    const uniform = moments(random.uniform);
    expect(uniform.mean).toBeCloseTo(1 / 2, 2);
    expect(uniform.variance).toBeCloseTo(1 / 12, 2);
    const gaussian = moments(random.gaussian);
    expect(Math.abs(gaussian.mean)).toBeLessThan(0.01);
    expect(Math.abs(gaussian.variance - 1)).toBeLessThan(0.02);
    const exponential = moments(random.exponential);
    expect(Math.abs(exponential.mean - 1)).toBeLessThan(0.01);
    expect(Math.abs(exponential.variance - 1)).toBeLessThan(0.03);
  });

  it('never draws 1 and stays finite', () => {
    const random = createRandom(3);
    let wrong = 0;
    for (let index = 0; index < 100_000; index += 1) {
      const value = random.uniform();
      if (!(value >= 0 && value < 1) || !Number.isFinite(random.exponential())) wrong += 1;
    }
    expect(wrong).toBe(0);
  });
});

describe('event seeds', () => {
  it('are safe integers and all different for a million positions of three files', () => {
    const positions = 1_000_000;
    const seeds = new Float64Array(positions * GUIDS.length);
    let next = 0;
    for (const guid of GUIDS) {
      for (let position = 1; position <= positions; position += 1) {
        seeds[next] = eventSeed(42, guid, position);
        next += 1;
      }
    }
    seeds.sort();
    let repeated = 0;
    for (let index = 1; index < seeds.length; index += 1) if (seeds[index] === seeds[index - 1]) repeated += 1;
    expect(repeated).toBe(0);
    expect(seeds[0]).toBeGreaterThanOrEqual(0);
    expect(Number.isSafeInteger(seeds.at(-1))).toBe(true);
  });

  /** Each of the 53 bits flips with probability one half: 5 standard deviations of 4000 trials are 0.04. */
  function flipFractions(change: (index: number) => readonly [before: number, after: number]): number[] {
    const trials = 4000;
    const flips = new Array<number>(53).fill(0);
    for (let index = 0; index < trials; index += 1) {
      const [before, after] = change(index);
      const difference = BigInt(before) ^ BigInt(after);
      for (let bit = 0; bit < 53; bit += 1) flips[bit] = (flips[bit] ?? 0) + Number((difference >> BigInt(bit)) & 1n);
    }
    return flips.map((count) => count / trials);
  }

  it.each([
    ['position', (index: number) => [eventSeed(1, GUIDS[0], index + 1), eventSeed(1, GUIDS[0], index + 2)] as const],
    ['task seed', (index: number) => [eventSeed(index, GUIDS[0], 5), eventSeed(index + 1, GUIDS[0], 5)] as const],
    [
      'high word of the task seed',
      (index: number) => [eventSeed(index, GUIDS[0], 5), eventSeed(index + 2 ** 32, GUIDS[0], 5)] as const,
    ],
    ['GUID', (index: number) => [eventSeed(index, GUIDS[0], 5), eventSeed(index, GUIDS[1], 5)] as const],
  ])('change in every bit with the neighbouring %s', (_what, change) => {
    for (const fraction of flipFractions(change)) expect(Math.abs(fraction - 0.5)).toBeLessThan(0.045);
  });

  it('of neighbouring positions give uncorrelated streams', () => {
    const count = 50_000;
    const first = new Float64Array(count);
    for (let position = 0; position < count; position += 1) {
      first[position] = createRandom(eventSeed(9, GUIDS[0], position + 1)).uniform() - 0.5;
    }
    let covariance = 0;
    for (let index = 1; index < count; index += 1) covariance += (first[index] ?? 0) * (first[index - 1] ?? 0);
    // In units of the variance 1/12; the standard deviation of the estimate is 1/sqrt(count) = 0.0045.
    expect(Math.abs((12 * covariance) / count)).toBeLessThan(0.02);
  });

  it('of neighbouring integers, used as they are, give uncorrelated streams too', () => {
    const count = 50_000;
    let covariance = 0;
    let previous = createRandom(0).uniform() - 0.5;
    for (let seed = 1; seed < count; seed += 1) {
      const value = createRandom(seed).uniform() - 0.5;
      covariance += value * previous;
      previous = value;
    }
    expect(Math.abs((12 * covariance) / count)).toBeLessThan(0.02);
  });
});
