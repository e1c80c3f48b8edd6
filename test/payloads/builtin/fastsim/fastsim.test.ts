import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import fastsim, { type FastsimRecord } from '../../../../payloads/builtin/fastsim/fastsim.ts';
import { finalState } from '../../../../payloads/builtin/fastsim/final-state.ts';
import type { GeneratorEvent, LheEvent } from '../../../../payloads/formats/generator-event.ts';
import { EVENT_DATA_FILES, eventDataNote, hasEventData, readEventData } from '../../../event-data.ts';
import { eventsOf, generatedFile } from '../../payload-events.ts';
import { payloadEvent, runPayload } from '../../run-payload.ts';

const events = eventsOf<GeneratorEvent>(await generatedFile(200));

async function simulate(
  input: readonly ReturnType<typeof payloadEvent<GeneratorEvent | LheEvent>>[],
  options: Readonly<Record<string, unknown>> = {},
): Promise<FastsimRecord[]> {
  return (await runPayload(fastsim, input, { options })).map((outputs) => {
    expect(outputs['HITS']).toHaveLength(1);
    return outputs['HITS']?.[0] as FastsimRecord;
  });
}

/** An event of one particle from the origin. */
function single(pdgId: number, momentum: readonly [number, number, number], mass: number) {
  const [px, py, pz] = momentum;
  const particle = { id: 7, pdgId, px, py, pz, energy: Math.hypot(px, py, pz, mass), mass, status: 1 };
  const decoded: GeneratorEvent = {
    eventNumber: 1,
    momentumUnit: 'GEV',
    lengthUnit: 'MM',
    weights: [],
    weightNames: [],
    position: undefined,
    particles: [{ ...particle, productionVertex: -1, endVertex: -1 }],
    vertices: [],
    attributes: [],
  };
  return payloadEvent<GeneratorEvent>({ position: 1, decode: () => decoded });
}

const energyOf = ({ cells }: FastsimRecord) => cells.energyKeV.reduce((sum, energy) => sum + energy, 0) / 1e6;

describe('the record', () => {
  it('is the same for the same events and seed, on every machine', async () => {
    const records = await simulate(events);
    expect(createHash('sha256').update(JSON.stringify(records)).digest('hex')).toMatchInlineSnapshot(
      `"2a597886d0afe2e4da701a2f8ec94b33f682c810e75a11753f8a4b7a333e33f3"`,
    );
    expect(await simulate(events.slice(50, 60))).toEqual(records.slice(50, 60));
  });

  it('has columns of equal length, whole numbers, and particles that exist', async () => {
    for (const [index, record] of (await simulate(events.slice(0, 50))).entries()) {
      const { hits, cells } = record;
      expect(record.position).toBe(index + 1);
      expect(record.skippedCount).toBe(0);
      expect(new Set(Object.values(hits).map((column) => column.length)).size).toBe(1);
      expect(new Set(Object.values(cells).map((column) => column.length)).size).toBe(1);
      const numbers = [...Object.values(hits), ...Object.values(cells)].flat();
      expect(numbers.every((value) => Number.isSafeInteger(value) && !Object.is(value, -0))).toBe(true);
      const charged = new Set(
        finalState(events[index]?.decode() as GeneratorEvent)
          .filter(({ charge }) => charge !== 0)
          .map(({ id }) => id),
      );
      expect(hits.particle.every((id) => charged.has(id))).toBe(true);
    }
  });

  it('holds about the energy of the collision', async () => {
    const records = await simulate(events);
    const mean = records.reduce((sum, record) => sum + energyOf(record), 0) / records.length;
    // Lost: neutrons' and protons' masses, muons, what goes along the beam.
    expect(mean).toBeGreaterThan(75);
    expect(mean).toBeLessThan(91.2);
  });
});

describe('particles', () => {
  it.each([
    ['a photon', 22, 0, 0, 50],
    ['an electron', 11, 0.000511, 8, 50],
    ['a pion', 211, 0.13957, 8, 50],
    ['a neutron', 2112, 0.93957, 0, 49.07],
    ['an antineutron', -2112, 0.93957, 0, 50.95],
    ['a neutrino', 14, 0, 0, 0],
    ['a muon', 13, 0.10566, 8, 1.7],
    ['a quark, as its jet', 2, 0, 0, 50],
  ] as const)('%s leaves the hits and the energy of its kind', async (_what, pdgId, mass, hitCount, energyGeV) => {
    const copies = Array.from({ length: 300 }, (_value, index) => ({
      ...single(pdgId, [30, 40, 5], mass),
      position: index + 1,
    }));
    const records = await simulate(copies, { hitEfficiency: 1 });
    for (const { hits } of records) expect(hits.layer).toHaveLength(hitCount);
    const mean = records.reduce((sum, record) => sum + energyOf(record), 0) / records.length;
    expect(Math.abs(mean - energyGeV)).toBeLessThan(0.02 * energyGeV + 0.1);
  });

  it('that the simulation does not know are counted, not simulated', async () => {
    const [record] = await simulate([single(24, [30, 40, 5], 80.4)]);
    expect(record).toMatchObject({ particleCount: 0, skippedCount: 1 });
    expect(record?.cells.layer).toEqual([]);
  });
});

describe('options', () => {
  it('effort divides showers into more spots without changing their mean energy', async () => {
    const copies = Array.from({ length: 200 }, (_value, index) => ({
      ...single(22, [40, 0, 0], 0),
      position: index + 1,
    }));
    const [coarse, fine] = [await simulate(copies), await simulate(copies, { effort: '20' })];
    const cellCount = (records: FastsimRecord[]) => records.reduce((sum, { cells }) => sum + cells.layer.length, 0);
    expect(cellCount(fine)).toBeGreaterThan(2 * cellCount(coarse));
    const mean = (records: FastsimRecord[]) => records.reduce((sum, record) => sum + energyOf(record), 0) / 200;
    expect(Math.abs(mean(fine) - mean(coarse))).toBeLessThan(0.3);
  });

  it('replace the tracker: radii in any order, one value for all layers', async () => {
    const options = {
      layerRadiiMm: '200,100',
      layerHalfLengthsMm: '500',
      rPhiResolutionsUm: '0',
      zResolutionsUm: '0',
      layerThicknessesX0: '0',
      fieldTesla: '0',
      hitEfficiency: '1',
    };
    const [record] = await simulate([single(211, [3, 4, 5], 0.14)], options);
    expect(record?.hits).toEqual({
      particle: [7, 7],
      layer: [0, 1],
      xUm: [60_000, 120_000],
      yUm: [80_000, 160_000],
      zUm: [100_000, 200_000],
    });
  });

  it.each([
    [{ layerRadiiMm: '100,200,300' }, /layerHalfLengthsMm/],
    [
      { layerRadiiMm: '2000', layerHalfLengthsMm: 1, rPhiResolutionsUm: 1, zResolutionsUm: 1, layerThicknessesX0: 0 },
      /inside the calorimeter/,
    ],
    [{ effort: '0' }, /effort/],
    [{ efort: '2' }, /efort/],
  ])('%o are refused', async (options, message) => {
    await expect(simulate([], options)).rejects.toThrow(message);
  });
});

describe('input', () => {
  it('is taken in the units of the event', () => {
    const decoded = events[4]?.decode() as GeneratorEvent;
    const inMeVAndCm: GeneratorEvent = {
      ...decoded,
      momentumUnit: 'MEV',
      lengthUnit: 'CM',
      particles: decoded.particles.map((particle) => ({
        ...particle,
        px: particle.px * 1000,
        py: particle.py * 1000,
        pz: particle.pz * 1000,
        energy: particle.energy * 1000,
        mass: particle.mass * 1000,
      })),
      vertices: decoded.vertices.map((vertex) => ({
        ...vertex,
        position: { x: 1, y: -2, z: 3, t: 4 },
      })),
    };
    const [plain, scaled] = [finalState(decoded), finalState(inMeVAndCm)];
    for (const [index, particle] of plain.entries()) {
      expect(scaled[index]?.energyGeV).toBeCloseTo(particle.energyGeV, 12);
      expect(scaled[index]?.massGeV).toBeCloseTo(particle.massGeV, 12);
      expect(scaled[index]?.state.px).toBeCloseTo(particle.state.px, 12);
      expect(scaled[index]?.state).toMatchObject({ x: 10, y: -20, z: 30 });
    }
  });

  it.skipIf(!hasEventData).each(EVENT_DATA_FILES.map((file) => [basename(file.path), file] as const))(
    `%s is simulated${eventDataNote}`,
    async (_name, file) => {
      const input = eventsOf<GeneratorEvent | LheEvent>(readEventData(file.path)).slice(0, 50);
      const records = await simulate(input);
      // One of the files has nothing but undecayed taus.
      expect(records.some((record) => energyOf(record) > 1 || record.skippedCount > 0)).toBe(true);
      for (const [index, record] of records.entries()) {
        const particles = finalState(input[index]?.decode() as GeneratorEvent);
        const energy = particles.reduce((sum, { energyGeV, massGeV }) => sum + energyGeV + Math.abs(massGeV), 0);
        expect(energyOf(record)).toBeLessThan(1.3 * energy + 30);
        expect(record.particleCount + record.skippedCount).toBe(particles.length);
        expect([...Object.values(record.hits), ...Object.values(record.cells)].flat().every(Number.isSafeInteger)).toBe(
          true,
        );
      }
    },
  );
});
