import { describe, expect, it } from 'vitest';
import { createRandom } from '../../../../core/random.ts';
import { buildDetector } from '../../../../payloads/builtin/fastsim/detector.ts';
import { schema } from '../../../../payloads/builtin/fastsim/fastsim-options.ts';
import { Helix, type TrackState } from '../../../../payloads/builtin/fastsim/helix.ts';
import {
  calorimeterEntry,
  scatteringAngle,
  type TrackHit,
  trackThroughLayers,
} from '../../../../payloads/builtin/fastsim/tracker.ts';

const ATLAS_LIKE = buildDetector(schema.parse({}));
const WITHOUT_MATERIAL = buildDetector(schema.parse({ layerThicknessesX0: 0, hitEfficiency: 1 }));
const START: TrackState = { x: 0, y: 0, z: 10, px: 3, py: -4, pz: 1.5 };

function hitsOf(detector = ATLAS_LIKE, start = START, seed = 1): TrackHit[] {
  const hits: TrackHit[] = [];
  trackThroughLayers(detector, { start, charge: 1, massGeV: 0.14 }, createRandom(seed), hits);
  return hits;
}

describe('hits', () => {
  it('lie on the helix within the resolution of their layers', () => {
    const pulls: number[] = [];
    for (let seed = 0; seed < 500; seed += 1) {
      for (const hit of hitsOf(WITHOUT_MATERIAL, START, seed)) {
        const layer = WITHOUT_MATERIAL.layers[hit.layer];
        const helix = new Helix(START, 1, 2);
        const crossing = helix.at(helix.pathToRadius(layer?.radiusMm ?? 0) ?? 0);
        const along = (crossing.x * hit.y - crossing.y * hit.x) / (layer?.radiusMm ?? 0);
        pulls.push(along / (layer?.rPhiResolutionMm ?? 0), (hit.z - crossing.z) / (layer?.zResolutionMm ?? 0));
      }
    }
    expect(pulls).toHaveLength(500 * 8 * 2);
    const mean = pulls.reduce((sum, pull) => sum + pull, 0) / pulls.length;
    const variance = pulls.reduce((sum, pull) => sum + pull * pull, 0) / pulls.length;
    expect(Math.abs(mean)).toBeLessThan(0.05);
    expect(Math.abs(variance - 1)).toBeLessThan(0.05);
  });

  it('are missing as often as the efficiency says', () => {
    const detector = buildDetector(schema.parse({ hitEfficiency: '0.9' }));
    let count = 0;
    for (let seed = 0; seed < 1000; seed += 1) count += hitsOf(detector, START, seed).length;
    expect(Math.abs(count / 8000 - 0.9)).toBeLessThan(0.015);
  });

  it('end where a soft particle turns back', () => {
    // pT of 60 MeV: a circle of 200 mm diameter.
    const hits = hitsOf(WITHOUT_MATERIAL, { x: 0, y: 0, z: 0, px: 0.06, py: 0, pz: 0.01 });
    expect(hits.map(({ layer }) => layer)).toEqual([0, 1, 2, 3]);
  });

  it('begin behind the place where the particle is made', () => {
    const hits = hitsOf(WITHOUT_MATERIAL, { x: 100, y: 0, z: 0, px: 5, py: 0, pz: 0 });
    expect(hits.map(({ layer }) => layer)).toEqual([3, 4, 5, 6, 7]);
  });

  it('exist within the length of a layer only', () => {
    const hits = hitsOf(WITHOUT_MATERIAL, { x: 0, y: 0, z: 0, px: 5, py: 0, pz: 19 });
    // z = 3.8 r: 399 mm is beyond the innermost layer from r = 88 on, and within the strips nowhere.
    expect(hits.map(({ layer }) => layer)).toEqual([0, 1, 2]);
  });
});

describe('multiple scattering', () => {
  it('follows the formula of Highland', () => {
    // 1 GeV, 3 % of a radiation length: 13.6 MeV / 1 GeV * sqrt(0.03) * (1 + 0.038 ln 0.03) = 2.04 mrad.
    expect(scatteringAngle(0.03, 1, 1, 1)).toBeCloseTo(0.002042, 6);
    expect(scatteringAngle(0, 1, 1, 1)).toBe(0);
  });

  it('widens the directions by the angles of all layers and keeps the momentum', () => {
    const count = 4000;
    let squares = 0;
    const direction = (state: TrackState) => Math.atan2(state.pz, Math.hypot(state.px, state.py));
    const start = { x: 0, y: 0, z: 0, px: 2, py: 0, pz: 0 };
    for (let seed = 0; seed < count; seed += 1) {
      const end = trackThroughLayers(ATLAS_LIKE, { start, charge: 1, massGeV: 0.14 }, createRandom(seed), []);
      expect(Math.hypot(end.px, end.py, end.pz)).toBeCloseTo(2, 10);
      const angle = direction(end);
      squares += angle * angle;
    }
    const beta = 2 / Math.hypot(2, 0.14);
    const expected = ATLAS_LIKE.layers.reduce(
      (sum, { thicknessX0 }) => sum + scatteringAngle(thicknessX0, 1, 2 * beta, beta) ** 2,
      0,
    );
    expect(Math.abs(Math.sqrt(squares / count / expected) - 1)).toBeLessThan(0.05);
  });
});

describe('the entry into the calorimeter', () => {
  const entry = (px: number, py: number, pz: number, charge = 0) =>
    calorimeterEntry(ATLAS_LIKE, { x: 0, y: 0, z: 0, px, py, pz }, charge);

  it('is the barrel, an end cap, or nothing beyond the acceptance', () => {
    expect(entry(1, 0, 0.5)).toMatchObject({ side: 'barrel', state: { x: 1500, z: 750 } });
    const cap = entry(0.2, 0, -1);
    expect(cap?.side).toBe('endcap');
    expect(cap?.state.z).toBeCloseTo(-3700, 9);
    expect(cap?.state.x).toBeCloseTo(740, 9);
    expect(entry(0.01, 0, 1)).toBeUndefined();
    expect(entry(0, 0, 1)).toBeUndefined();
  });

  it('is reached by curling particles through the end caps only', () => {
    expect(entry(0.3, 0, 0, 1)).toBeUndefined();
    expect(entry(0.3, 0, 0.06, 1)?.side).toBe('endcap');
  });

  it('does not exist for particles made outside', () => {
    expect(calorimeterEntry(ATLAS_LIKE, { x: 1600, y: 0, z: 0, px: -1, py: 0, pz: 0 }, 0)).toBeUndefined();
    expect(calorimeterEntry(ATLAS_LIKE, { x: 0, y: 0, z: 5000, px: -1, py: 0, pz: 0 }, 0)).toBeUndefined();
  });
});
