import { describe, expect, it } from 'vitest';
import { createRandom } from '../../../../core/random.ts';
import {
  CALORIMETER_LAYER_COUNT,
  Calorimeter,
  type CalorimeterEntry,
  cellCentre,
  measuredEnergy,
} from '../../../../payloads/builtin/fastsim/calorimeter.ts';
import { buildDetector } from '../../../../payloads/builtin/fastsim/detector.ts';
import { schema } from '../../../../payloads/builtin/fastsim/fastsim-options.ts';
import {
  electromagneticDepth,
  gammaDeviate,
  hadronicDepth,
  radialDistance,
} from '../../../../payloads/builtin/fastsim/shower-profile.ts';

const detector = buildDetector(schema.parse({}));
const random = createRandom(17);

function moments(count: number, draw: () => number): { mean: number; sigma: number; values: number[] } {
  const values = Array.from({ length: count }, draw);
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const variance = values.reduce((sum, value) => sum + (value - mean) * (value - mean), 0) / count;
  return { mean, sigma: Math.sqrt(variance), values };
}

/** Straight out at eta 0.3, phi 0.4. */
function entryAt(eta = 0.3, phi = 0.4): CalorimeterEntry {
  const radius = detector.calorimeterRadiusMm;
  const [x, y, z] = [radius * Math.cos(phi), radius * Math.sin(phi), radius * Math.sinh(eta)];
  return { state: { x, y, z, px: x / 100, py: y / 100, pz: z / 100 }, side: 'barrel' };
}

const totalOf = (calorimeter: Calorimeter) => calorimeter.cells().reduce((sum, { energyGeV }) => sum + energyGeV, 0);

describe('the energy resolution', () => {
  it.each([
    ['electromagnetic', 5],
    ['electromagnetic', 20],
    ['electromagnetic', 200],
    ['hadronic', 10],
    ['hadronic', 50],
    ['hadronic', 500],
  ] as const)('of %s showers of %i GeV is stochastic, noise and constant term in quadrature', (part, energyGeV) => {
    const resolution = detector[part];
    const { mean, sigma } = moments(20_000, () => measuredEnergy(energyGeV, resolution, random));
    const relative = Math.hypot(
      resolution.stochastic / Math.sqrt(energyGeV),
      resolution.noiseGeV / energyGeV,
      resolution.constant,
    );
    expect(Math.abs(mean / energyGeV - 1)).toBeLessThan((4 * relative) / Math.sqrt(20_000));
    expect(Math.abs(sigma / energyGeV / relative - 1)).toBeLessThan(0.025);
  });

  it('holds for the sum over the cells of a shower', () => {
    const { mean, sigma } = moments(1500, () => {
      const calorimeter = new Calorimeter(detector, random);
      calorimeter.addElectromagneticShower(entryAt(), 50, true);
      return totalOf(calorimeter);
    });
    const expected = 50 * Math.hypot(0.1 / Math.sqrt(50), 0.3 / 50, 0.004);
    expect(Math.abs(mean - 50)).toBeLessThan(0.1);
    expect(Math.abs(sigma / expected - 1)).toBeLessThan(0.08);
  });

  it('never makes an energy negative', () => {
    expect(
      moments(1000, () => measuredEnergy(0.01, detector.hadronic, random)).values.every((value) => value >= 0),
    ).toBe(true);
  });
});

describe('shower profiles', () => {
  it.each([0.4, 1, 2.5, 9])('gamma deviates of shape %d have their mean and variance', (shape) => {
    const { mean, sigma } = moments(50_000, () => gammaDeviate(shape, random));
    expect(Math.abs(mean / shape - 1)).toBeLessThan(0.03);
    expect(Math.abs((sigma * sigma) / shape - 1)).toBeLessThan(0.06);
  });

  it('electromagnetic showers lie at the depth of the gamma distribution, photons one radiation length deeper', () => {
    const depthOfMaximum = Math.log(30 / 0.00743);
    for (const [photon, shift] of [
      [true, 0.5],
      [false, -0.5],
    ] as const) {
      const { mean } = moments(20_000, () => electromagneticDepth(30, photon, random));
      // The mean a/b lies 1/b = 2 radiation lengths behind the maximum (a - 1)/b.
      expect(Math.abs(mean - (depthOfMaximum + shift + 2))).toBeLessThan(0.1);
    }
  });

  it('hadronic showers reach deeper at higher energy', () => {
    const depths = [5, 50, 500].map((energyGeV) => moments(10_000, () => hadronicDepth(energyGeV, random)).mean);
    expect(depths[0]).toBeGreaterThan(0.5);
    expect(depths[1]).toBeGreaterThan(depths[0] ?? Number.NaN);
    expect(depths[2]).toBeGreaterThan(depths[1] ?? Number.NaN);
    expect(depths[2]).toBeLessThan(3);
  });

  it('half of the spots lie within the median radius, nine tenths within three', () => {
    const { values } = moments(20_000, () => radialDistance(15, random));
    expect(Math.abs(values.filter((value) => value < 15).length / 20_000 - 0.5)).toBeLessThan(0.015);
    expect(Math.abs(values.filter((value) => value < 45).length / 20_000 - 0.9)).toBeLessThan(0.01);
  });
});

describe('the cells', () => {
  it('lie around the direction of the shower', () => {
    const calorimeter = new Calorimeter(detector, random);
    for (let shower = 0; shower < 50; shower += 1) calorimeter.addElectromagneticShower(entryAt(-1.1, -2.5), 40, false);
    let [eta, phi, total] = [0, 0, 0];
    for (const cell of calorimeter.cells()) {
      const centre = cellCentre(cell);
      eta += centre.eta * cell.energyGeV;
      phi += centre.phi * cell.energyGeV;
      total += cell.energyGeV;
    }
    expect(eta / total).toBeCloseTo(-1.1, 1);
    expect(phi / total).toBeCloseTo(-2.5, 1);
  });

  it('are sorted and each is named once, also around phi = pi', () => {
    const calorimeter = new Calorimeter(detector, random);
    calorimeter.addHadronicShower(entryAt(0, Math.PI), 100);
    calorimeter.addHadronicShower(entryAt(2, -Math.PI + 1e-9), 100);
    const keys = calorimeter.cells().map(({ layer, etaIndex, phiIndex }) => [layer, etaIndex, phiIndex] as const);
    const sorted = keys.toSorted((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
    expect(keys).toEqual(sorted);
    expect(new Set(keys.map(String)).size).toBe(keys.length);
    for (const [layer, , phiIndex] of keys) {
      expect(layer).toBeLessThan(CALORIMETER_LAYER_COUNT);
      expect(phiIndex).toBeLessThan(layer < 3 ? 256 : 64);
      expect(phiIndex).toBeGreaterThanOrEqual(0);
    }
  });

  it('of electrons are electromagnetic, those of hadrons mostly hadronic', () => {
    const shareInFront = (add: (calorimeter: Calorimeter) => void): number => {
      const calorimeter = new Calorimeter(detector, random);
      for (let shower = 0; shower < 300; shower += 1) add(calorimeter);
      const front = calorimeter.cells().filter(({ layer }) => layer < 3);
      return front.reduce((sum, { energyGeV }) => sum + energyGeV, 0) / totalOf(calorimeter);
    };
    expect(shareInFront((calorimeter) => calorimeter.addElectromagneticShower(entryAt(), 50, false))).toBeCloseTo(
      1,
      12,
    );
    const hadronic = shareInFront((calorimeter) => calorimeter.addHadronicShower(entryAt(), 50));
    expect(hadronic).toBeGreaterThan(0.15);
    expect(hadronic).toBeLessThan(0.6);
  });

  it('of muons hold the loss of a minimum ionising particle, one per layer', () => {
    const losses = moments(4000, () => {
      const calorimeter = new Calorimeter(detector, random);
      calorimeter.addIonisation(entryAt(0), 100);
      expect(calorimeter.cells().map(({ layer }) => layer)).toEqual([0, 1, 2, 3, 4, 5]);
      return totalOf(calorimeter);
    });
    const expected = 0.00715 * 22.3 + 0.1917 * 7.5;
    expect(Math.abs(losses.mean / expected - 1)).toBeLessThan(0.02);
    // Landau: a tail towards large losses.
    const median = losses.values.toSorted((a, b) => a - b)[2000];
    expect(losses.mean).toBeGreaterThan(median ?? Number.NaN);
  });

  it('of a slow muon hold no more than its energy', () => {
    const calorimeter = new Calorimeter(detector, random);
    calorimeter.addIonisation(entryAt(0), 0.3);
    expect(totalOf(calorimeter)).toBeCloseTo(0.3, 12);
  });
});
