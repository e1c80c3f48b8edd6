/**
 * Momenta for the decay of a system at rest into any number of particles, by RAMBO (R. Kleiss, W. J. Stirling,
 * S. D. Ellis, Comput. Phys. Commun. 40 (1986) 359). Exact in energy and momentum; for massless particles uniform in
 * phase space. The weight that massive ones would need is left out: this serves toy events.
 */
import { assert } from '../../core/assert.ts';
import type { Random } from '../../core/random.ts';
import { type FourMomentum, onShell } from './four-momentum.ts';

/** A vector of the length given in a uniformly drawn direction (Marsaglia, Ann. Math. Stat. 43 (1972) 645). */
function isotropicVector(length: number, random: Random): readonly [x: number, y: number, z: number] {
  let u = 0;
  let v = 0;
  let s = 0;
  do {
    u = 2 * random.uniform() - 1;
    v = 2 * random.uniform() - 1;
    s = u * u + v * v;
  } while (s >= 1);
  const factor = 2 * length * Math.sqrt(1 - s);
  return [factor * u, factor * v, length * (1 - 2 * s)];
}

/** Boosts and scales massless momenta so that they add up to `energyGeV` at rest. */
function toRestFrame(momenta: readonly FourMomentum[], energyGeV: number): FourMomentum[] {
  let [sumX, sumY, sumZ, sumEnergy] = [0, 0, 0, 0];
  for (const { px, py, pz, energy } of momenta) {
    sumX += px;
    sumY += py;
    sumZ += pz;
    sumEnergy += energy;
  }
  const mass = Math.sqrt(sumEnergy * sumEnergy - sumX * sumX - sumY * sumY - sumZ * sumZ);
  const [bx, by, bz] = [-sumX / mass, -sumY / mass, -sumZ / mass];
  const gamma = sumEnergy / mass;
  const scale = energyGeV / mass;
  return momenta.map(({ px, py, pz, energy }) => {
    const along = bx * px + by * py + bz * pz;
    const shift = energy + along / (1 + gamma);
    return onShell(scale * (px + bx * shift), scale * (py + by * shift), scale * (pz + bz * shift), 0);
  });
}

/** Massless momenta that add up to `energyGeV` at rest. */
function masslessMomenta(count: number, energyGeV: number, random: Random): FourMomentum[] {
  const drawn = Array.from({ length: count }, (): FourMomentum => {
    const energy = random.exponential() + random.exponential();
    const [px, py, pz] = isotropicVector(energy, random);
    return { px, py, pz, energy };
  });
  // Drawn momenta that are nearly parallel need a large boost, which multiplies rounding errors: the second pass
  // takes away what the first one leaves.
  return toRestFrame(toRestFrame(drawn, energyGeV), energyGeV);
}

/** The factor by which massless momenta shrink when the particles get their masses (Newton's method). */
function massiveScale(momenta: readonly FourMomentum[], masses: readonly number[], energyGeV: number): number {
  const massSum = masses.reduce((sum, mass) => sum + mass, 0);
  const ratio = massSum / energyGeV;
  let scale = Math.sqrt(1 - ratio * ratio);
  for (let iteration = 0; iteration < 60; iteration += 1) {
    let excess = -energyGeV;
    let slope = 0;
    for (const [index, momentum] of momenta.entries()) {
      const mass = masses[index] ?? 0;
      const square = momentum.energy * momentum.energy;
      const energy = Math.sqrt(mass * mass + scale * scale * square);
      excess += energy;
      slope += energy === 0 ? 0 : (scale * square) / energy;
    }
    const step = excess / slope;
    scale -= step;
    if (Math.abs(step) <= 1e-15 * scale) break;
  }
  return scale;
}

/**
 * @param energyGeV of the system at rest, above the sum of the masses
 * @param masses in GeV, at least two
 * @returns one momentum per mass; their sum is (0, 0, 0, energyGeV) up to rounding
 */
export function phaseSpaceMomenta(energyGeV: number, masses: readonly number[], random: Random): FourMomentum[] {
  assert(masses.length >= 2, 'a system decays into two particles or more');
  assert(masses.reduce((sum, mass) => sum + mass, 0) < energyGeV, 'the masses fit into the energy');
  const massless = masslessMomenta(masses.length, energyGeV, random);
  const scale = massiveScale(massless, masses, energyGeV);
  return massless.map(({ px, py, pz }, index) => onShell(scale * px, scale * py, scale * pz, masses[index] ?? 0));
}
