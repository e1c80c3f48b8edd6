import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../../core/random.ts';
import { phaseSpaceMomenta } from '../../../payloads/generator/phase-space.ts';
import { type ToyEvent, type ToySettings, toyEvent } from '../../../payloads/generator/toy-event.ts';
import {
  generateTo,
  TOY_DEFAULTS,
  toyEventText,
  toyFooter,
  toyHeader,
} from '../../../payloads/generator/toy-generator.ts';
import { chargeTimesThree } from '../../../payloads/particle-numbering.ts';

const SETTINGS: ToySettings = { ...TOY_DEFAULTS, seed: 1 };
const events: readonly ToyEvent[] = Array.from({ length: 1000 }, (_value, index) => toyEvent(SETTINGS, index + 1));

/** Largest violation among four components, relative to the energy. */
function imbalance(event: ToyEvent, incoming: readonly number[], outgoing: readonly number[]): number {
  let worst = 0;
  let scale = 0;
  for (const component of ['energy', 'px', 'py', 'pz'] as const) {
    let sum = 0;
    for (const index of incoming) sum += event.particles[index]?.momentum[component] ?? Number.NaN;
    if (component === 'energy') scale = sum;
    for (const index of outgoing) sum -= event.particles[index]?.momentum[component] ?? Number.NaN;
    worst = Math.max(worst, Math.abs(sum));
  }
  return worst / scale;
}

function productsOf(event: ToyEvent, vertex: number): number[] {
  return [...event.particles.keys()].filter((index) => event.particles[index]?.productionVertex === vertex);
}

describe('events', () => {
  it('conserve energy, momentum and charge at every vertex', () => {
    let worst = 0;
    for (const event of events) {
      for (const [vertex, { incoming }] of event.vertices.entries()) {
        const outgoing = productsOf(event, vertex);
        worst = Math.max(worst, imbalance(event, incoming, outgoing));
        const charge = (indices: readonly number[]) =>
          indices.reduce((sum, index) => sum + chargeTimesThree(event.particles[index]?.pdgId ?? 0), 0);
        expect(charge(outgoing)).toBe(charge(incoming));
      }
    }
    expect(worst).toBeLessThan(1e-13);
  });

  it('conserve energy and momentum from the beams to the final state', () => {
    let worst = 0;
    for (const event of events) {
      const final = [...event.particles.keys()].filter((index) => event.particles[index]?.status === 1);
      expect(final.length).toBeGreaterThanOrEqual(2);
      worst = Math.max(worst, imbalance(event, [0, 1], final));
    }
    expect(worst).toBeLessThan(1e-13);
  });

  it('hold particles on their mass shells, final or decayed as their vertices say', () => {
    for (const event of events) {
      const decayed = new Set(event.vertices.flatMap(({ incoming }) => incoming));
      for (const [index, { momentum, massGeV, status }] of event.particles.entries()) {
        const { px, py, pz, energy } = momentum;
        const square = energy * energy - px * px - py * py - pz * pz;
        expect(Math.abs(square - massGeV * massGeV)).toBeLessThanOrEqual(1e-14 * energy * energy);
        expect(status === 1).toBe(!decayed.has(index));
      }
    }
  });

  it('are ordered: what comes in stands before what goes out, and products of a vertex stand together', () => {
    for (const { particles, vertices } of events) {
      let last = -1;
      for (const [index, { productionVertex }] of particles.entries()) {
        if (productionVertex === undefined) continue;
        expect(productionVertex === last || productionVertex === last + 1).toBe(true);
        last = productionVertex;
        for (const incoming of vertices[productionVertex]?.incoming ?? []) expect(incoming).toBeLessThan(index);
      }
      expect(last).toBe(vertices.length - 1);
    }
  });

  it('are of many kinds', () => {
    const kinds = new Set(events.flatMap(({ particles }) => particles.map(({ pdgId }) => pdgId)));
    for (const pdgId of [11, -11, 13, -13, 22, 111, 130, 211, -211, 221, 310, 321, -321, 2112, 2212, -2212, 3122]) {
      expect([pdgId, kinds.has(pdgId)]).toEqual([pdgId, true]);
    }
  });

  it('let K0S and Lambda fly for their life times', () => {
    for (const [pdgId, expectedMm] of [
      [310, 26.844],
      [3122, 78.9],
    ]) {
      let sum = 0;
      let count = 0;
      for (let eventNumber = 1; eventNumber <= 8000; eventNumber += 1) {
        const { particles, vertices } = toyEvent(SETTINGS, eventNumber);
        for (const { incoming, position } of vertices) {
          const parent = particles[incoming[0] ?? -1];
          if (parent === undefined || incoming.length !== 1 || parent.pdgId !== pdgId) continue;
          const start = vertices[parent.productionVertex ?? 0]?.position;
          sum += ((position.t - (start?.t ?? 0)) * parent.massGeV) / parent.momentum.energy;
          count += 1;
        }
      }
      expect(Math.abs(sum / count / (expectedMm ?? 0) - 1)).toBeLessThan(4 / Math.sqrt(count));
    }
  });

  it('have as many primary particles as asked for, on average', () => {
    const means = [20, 60].map((meanPrimaries) => {
      const counts = Array.from({ length: 400 }, (_value, index) => {
        const event = toyEvent({ ...SETTINGS, meanPrimaries }, index);
        return productsOf(event, 1).length;
      });
      return counts.reduce((sum, count) => sum + count, 0) / counts.length;
    });
    // Pairs may overshoot by one particle.
    expect(means[0]).toBeGreaterThan(19);
    expect(means[0]).toBeLessThan(21.5);
    expect(means[1]).toBeGreaterThan(58);
    expect(means[1]).toBeLessThan(62);
  });

  it('fit into the least energy, however many particles are asked for', () => {
    for (let eventNumber = 1; eventNumber <= 50; eventNumber += 1) {
      const event = toyEvent({ seed: 5, energyGeV: 4, meanPrimaries: 200 }, eventNumber);
      expect(imbalance(event, [0, 1], productsOf(event, 1))).toBeLessThan(1e-12);
    }
  });
});

describe('phase space', () => {
  it('has a flat Dalitz plot for massless particles', () => {
    const random = createRandom(2);
    const count = 20_000;
    let first = 0;
    let squares = 0;
    for (let trial = 0; trial < count; trial += 1) {
      const energy = phaseSpaceMomenta(1, [0, 0, 0], random)[0]?.energy ?? 0;
      first += energy;
      squares += energy * energy;
    }
    // Density of x = 2E: x on [0, 1] times 2, so <E> = 1/3 and <E^2> = 1/8.
    expect(Math.abs(first / count - 1 / 3)).toBeLessThan(0.004);
    expect(Math.abs(squares / count - 1 / 8)).toBeLessThan(0.003);
  });
});

describe('text', () => {
  async function generate(
    count: number,
    settings = SETTINGS,
  ): Promise<{ text: string; chunks: number[]; size: number }> {
    const chunks: Uint8Array[] = [];
    const size = await generateTo(
      async (chunk) => {
        chunks.push(chunk);
      },
      { ...settings, events: count },
    );
    return {
      text: Buffer.concat(chunks).toString('latin1'),
      chunks: chunks.map((chunk) => chunk.length),
      size,
    };
  }

  it('is header, events by number and footer, in chunks', async () => {
    const { text, chunks, size } = await generate(300);
    let expected = toyHeader();
    for (let eventNumber = 1; eventNumber <= 300; eventNumber += 1) expected += toyEventText(SETTINGS, eventNumber);
    expect(text).toBe(expected + toyFooter());
    expect(size).toBe(text.length);
    expect(chunks.length).toBeGreaterThan(1);
  });

  it('is pinned, and about 2 kB an event', async () => {
    const { text } = await generate(1000);
    expect(createHash('sha256').update(text).digest('hex')).toMatchInlineSnapshot(
      `"4576f1a4979fc550671f4a81bdd48ea3229c49abf480c14dbed0e11b7dfc6db9"`,
    );
    expect(text.length / 1000).toBeGreaterThan(1800);
    expect(text.length / 1000).toBeLessThan(2200);
  });

  it('is a valid file without any event', async () => {
    expect((await generate(0)).text).toBe(toyHeader() + toyFooter());
  });

  it('differs from seed to seed', async () => {
    expect((await generate(1, { ...SETTINGS, seed: 2 })).text).not.toBe((await generate(1)).text);
  });

  it('reads back as the same numbers', () => {
    const event = events[2];
    const lines = toyEventText(SETTINGS, 3)
      .split('\n')
      .filter((line) => line.startsWith('P '));
    expect(lines.map((line) => line.split(' ').slice(3, 10).map(Number))).toEqual(
      event?.particles.map(({ pdgId, momentum: { px, py, pz, energy }, massGeV, status }) => [
        pdgId,
        px,
        py,
        pz,
        energy,
        massGeV,
        status,
      ]),
    );
  });

  it('stops when aborted', async () => {
    const abort = new AbortController();
    let chunks = 0;
    const write = async () => {
      chunks += 1;
      abort.abort(new Error('enough'));
    };
    await expect(generateTo(write, { ...SETTINGS, events: 1e9 }, abort.signal)).rejects.toThrow('enough');
    expect(chunks).toBe(1);
  });

  it.each([
    { seed: -1 },
    { seed: 0.5 },
    { energyGeV: 3 },
    { energyGeV: Number.NaN },
    { meanPrimaries: -1 },
    { meanPrimaries: Number.POSITIVE_INFINITY },
  ])('refuses %o', async (wrong) => {
    await expect(generate(1, { ...SETTINGS, ...wrong })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
