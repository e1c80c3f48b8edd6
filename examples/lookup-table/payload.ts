/**
 * A payload whose workers share one large table: the field map of a solenoid, 200 MB unless told otherwise.
 *
 *     granule run --input events.hepmc3 --payload examples/lookup-table/payload.ts --out out
 *
 * `prepare` computes the map once, into a SharedArrayBuffer; each worker sees the same memory. For every visible particle
 * the field is followed along a straight line to the edge of the map, which gives the bending power ∫|B × dl|.
 */
import { definePayload, type GeneratorEvent } from 'granule/payload';
import type { Options } from './options.ts';

/** Bx, By, Bz in tesla at `nodes`³ places, z running fastest; the map is a cube around the origin. */
export interface FieldMap {
  readonly field: Float32Array<SharedArrayBuffer>;
  readonly nodes: number;
  readonly halfLengthM: number;
}

const COIL = { fieldT: 2, radiusM: 1.2, lengthM: 5.3 };
const HALF_LENGTH_M = 1.1;
const STEPS = 100;

/** Of products, sums and roots, so that it is the same on any machine: the last bits of Math.hypot need not be. */
function length(x: number, y: number, z = 0): number {
  return Math.sqrt(x * x + y * y + z * z);
}

/**
 * Field on the axis of a thin solenoid of finite length, and its slope along the axis, in T and T/m (Biot–Savart; any
 * textbook of electrodynamics).
 */
function axisField(z: number): { readonly value: number; readonly slope: number } {
  const { fieldT, radiusM, lengthM } = COIL;
  const half = lengthM / 2;
  const cosine = (distance: number): number => distance / length(distance, radiusM);
  const slopeOf = (distance: number): number => {
    const away = length(distance, radiusM);
    return (radiusM * radiusM) / (away * away * away);
  };
  return {
    value: (fieldT / 2) * (cosine(z + half) - cosine(z - half)),
    slope: (fieldT / 2) * (slopeOf(z + half) - slopeOf(z - half)),
  };
}

/** Off the axis the radial field follows from div B = 0: Br = -r/2 · dBz/dz, to first order in r. */
export function computeFieldMap(nodes: number): FieldMap {
  const field = new Float32Array(new SharedArrayBuffer(3 * Float32Array.BYTES_PER_ELEMENT * nodes * nodes * nodes));
  const places = Array.from({ length: nodes }, (_, index) => HALF_LENGTH_M * ((2 * index) / (nodes - 1) - 1));
  const axis = places.map(axisField);
  let at = 0;
  for (const x of places) {
    for (const y of places) {
      for (const { value, slope } of axis) {
        field[at] = (-x / 2) * slope;
        field[at + 1] = (-y / 2) * slope;
        field[at + 2] = value;
        at += 3;
      }
    }
  }
  return { field, nodes, halfLengthM: HALF_LENGTH_M };
}

/** ∫|B × dl| from the origin along a direction (of length 1) to the edge of the map, in T·m; the nearest node counts. */
export function bendingPower(map: FieldMap, direction: readonly [number, number, number]): number {
  const { field, nodes, halfLengthM } = map;
  const [dx, dy, dz] = direction;
  const lengthM = halfLengthM / Math.max(Math.abs(dx), Math.abs(dy), Math.abs(dz));
  const nodeOf = (place: number): number => Math.round(((place / halfLengthM + 1) / 2) * (nodes - 1));
  const stepM = lengthM / STEPS;
  let sum = 0;
  for (let step = 0; step < STEPS; step += 1) {
    const along = (step + 0.5) * stepM;
    const at = 3 * ((nodeOf(along * dx) * nodes + nodeOf(along * dy)) * nodes + nodeOf(along * dz));
    const [bx = 0, by = 0, bz = 0] = [field[at], field[at + 1], field[at + 2]];
    sum += length(by * dz - bz * dy, bz * dx - bx * dz, bx * dy - by * dx) * stepM;
  }
  return sum;
}

export default definePayload<Options, FieldMap, GeneratorEvent>({
  name: 'bending-power',
  version: '1',
  outputs: { BENDING: { format: 'ndjson' } },
  options: async () => (await import('./options.ts')).schema,
  prepare: ({ options }) => computeFieldMap(options.nodes),
  execute(event, context) {
    let particles = 0;
    let sum = 0;
    for (const { status, px, py, pz } of event.decode().particles) {
      const momentum = length(px, py, pz);
      if (status !== 1 || momentum === 0) continue;
      particles += 1;
      sum += bendingPower(context.shared, [px / momentum, py / momentum, pz / momentum]);
    }
    const meanTm = particles === 0 ? 0 : sum / particles;
    context.output('BENDING').write({ position: event.position, particles, meanTm });
  },
});
