import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Helix, type TrackState } from '../../../../payloads/builtin/fastsim/helix.ts';

/** The Lorentz force integrated step by step (Runge-Kutta of fourth order), along the path in space. */
function integrate(start: TrackState, charge: number, fieldTesla: number, lengthMm: number, steps: number): TrackState {
  const momentum = Math.hypot(start.px, start.py, start.pz);
  // dp/dl = q B k (p x e_z) / |p|, dr/dl = p / |p|; GeV, mm, T.
  const force = (charge * fieldTesla * 0.299792458) / 1000 / momentum;
  type Six = readonly [number, number, number, number, number, number];
  const slope = ([, , , px, py, pz]: Six): Six => [
    px / momentum,
    py / momentum,
    pz / momentum,
    force * py,
    -force * px,
    0,
  ];
  const moved = (from: Six, along: Six, step: number): Six =>
    from.map((value, i) => value + step * (along[i] ?? 0)) as unknown as Six;
  let y: Six = [start.x, start.y, start.z, start.px, start.py, start.pz];
  const h = lengthMm / steps;
  for (let step = 0; step < steps; step += 1) {
    const k1 = slope(y);
    const k2 = slope(moved(y, k1, h / 2));
    const k3 = slope(moved(y, k2, h / 2));
    const k4 = slope(moved(y, k3, h));
    y = y.map(
      (value, i) => value + (h / 6) * ((k1[i] ?? 0) + 2 * (k2[i] ?? 0) + 2 * (k3[i] ?? 0) + (k4[i] ?? 0)),
    ) as unknown as Six;
  }
  return { x: y[0], y: y[1], z: y[2], px: y[3], py: y[4], pz: y[5] };
}

describe('a helix', () => {
  it.each([
    ['a stiff positive track', { x: 1, y: -2, z: 3, px: 20, py: 5, pz: 12 }, 1, 2],
    ['a soft negative track over more than a turn', { x: 0, y: 0, z: 0, px: 0.1, py: -0.05, pz: 0.2 }, -1, 2],
    ['a nucleus in a reversed field', { x: 10, y: 0, z: -50, px: 1, py: 3, pz: -4 }, 2, -3.8],
    ['a neutral particle', { x: 5, y: 5, z: 5, px: 1, py: 2, pz: 3 }, 0, 2],
    ['a charged particle without field', { x: 5, y: 5, z: 5, px: 1, py: 2, pz: 3 }, 1, 0],
  ] as const)('agrees with the integrated equation of motion: %s', (_what, start, charge, fieldTesla) => {
    const helix = new Helix(start, charge, fieldTesla);
    const lengthMm = 4000;
    const momentum = Math.hypot(start.px, start.py, start.pz);
    const numeric = integrate(start, charge, fieldTesla, lengthMm, 8000);
    const exact = helix.at((lengthMm * helix.transverseMomentum) / momentum);
    for (const key of ['x', 'y', 'z', 'px', 'py', 'pz'] as const) {
      expect(Math.abs(exact[key] - numeric[key])).toBeLessThan(1e-6);
    }
  });

  it('has the radius pT / (0.3 q B)', () => {
    const helix = new Helix({ x: 0, y: 0, z: 0, px: 0.6, py: 0, pz: 0 }, 1, 2);
    const radiusMm = (0.6 / (0.299792458 * 2)) * 1000;
    const opposite = helix.at(Math.PI * radiusMm);
    expect(opposite.x).toBeCloseTo(0, 9);
    // A positive particle in a field along +z turns clockwise.
    expect(opposite.y).toBeCloseTo(-2 * radiusMm, 6);
  });
});

describe('the path to a cylinder', () => {
  const component = fc.double({ min: -50, max: 50, noNaN: true });
  const place = fc.double({ min: -400, max: 400, noNaN: true });
  const tracks = fc
    .record({ x: place, y: place, z: place, px: component, py: component, pz: component })
    .filter(({ px, py }) => Math.hypot(px, py) > 0.02);

  it('ends on the cylinder and does not cross it before', () => {
    fc.assert(
      fc.property(
        tracks,
        fc.constantFrom(-1, 0, 1, 2),
        fc.oneof(fc.constant(0), fc.double({ min: -4, max: -0.1 }), fc.double({ min: 0.1, max: 4 })),
        fc.double({ min: 20, max: 1500, noNaN: true }),
        (start, charge, fieldTesla, radiusMm) => {
          const startRadius = Math.hypot(start.x, start.y);
          fc.pre(Math.abs(startRadius - radiusMm) > 1);
          const helix = new Helix(start, charge, fieldTesla);
          const path = helix.pathToRadius(radiusMm);
          const end = path ?? 20_000;
          const side = Math.sign(startRadius - radiusMm);
          for (let step = 0; step < 100; step += 1) {
            const { x, y } = helix.at((end * step) / 100);
            // Touching without crossing within rounding is no failure.
            if (side * (Math.hypot(x, y) - radiusMm) < -1e-3) return false;
          }
          if (path === undefined) return true;
          const { x, y } = helix.at(path);
          return Math.abs(Math.hypot(x, y) - radiusMm) < 1e-5;
        },
      ),
      { numRuns: 400 },
    );
  });

  it('does not exist for a particle that curls up inside', () => {
    // Radius 167 mm: from the origin it reaches out to 334 mm.
    const helix = new Helix({ x: 0, y: 0, z: 0, px: 0.1, py: 0, pz: 1 }, -1, 2);
    expect(helix.pathToRadius(300)).toBeDefined();
    expect(helix.pathToRadius(340)).toBeUndefined();
  });

  it('does not exist for a straight track that leads away', () => {
    const helix = new Helix({ x: 100, y: 0, z: 0, px: 1, py: 0.1, pz: 0 }, 0, 2);
    expect(helix.pathToRadius(50)).toBeUndefined();
    expect(helix.pathToPlane(10)).toBeUndefined();
  });
});
