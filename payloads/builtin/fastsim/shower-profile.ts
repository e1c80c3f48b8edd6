/**
 * Shapes of showers: how deep and how far from the axis their energy lies, drawn spot by spot.
 *
 * Electromagnetic: depth in radiation lengths by the gamma distribution of the Review of Particle Physics ("Passage of
 * Particles Through Matter", electromagnetic cascades): dE/dt ~ (bt)^(a-1) e^(-bt) with b = 0.5, a = 1 + b tmax,
 * tmax = ln(E/Ec) - 0.5 for electrons, + 0.5 for photons. Hadronic: an interaction after an exponentially distributed
 * depth, then the sum of two gamma distributions, one in radiation and one in interaction lengths (R. K. Bock,
 * T. Hansl-Kozanecka, T. P. Shah, Nucl. Instrum. Meth. 186 (1981) 533). Across: 2 r R^2 / (r^2 + R^2)^2, half of the
 * energy within R (G. Grindhammer, S. Peters, hep-ex/0001020).
 */
import type { Random } from '../../payload.ts';

/** Critical energy of lead for electrons (Review of Particle Physics, "Atomic and Nuclear Properties"). */
const CRITICAL_ENERGY_GEV = 0.00743;
const EM_SCALE = 0.5;
/** Below about 10 MeV the formula has its maximum in front of the calorimeter; such showers fall from the start on. */
const EM_SHAPE_MIN = 1;
/** Bock's parameters; the energy in GeV. */
const HADRONIC_EM_SHARE = 0.4634;
const HADRONIC_EM_SCALE = 0.2198;
/** Radiation lengths in an interaction length of iron: 16.8 cm and 1.76 cm ("Atomic and Nuclear Properties"). */
const X0_PER_LAMBDA = 9.5;

/** A gamma-distributed number with scale 1 (G. Marsaglia, W. W. Tsang, ACM TOMS 26 (2000) 363). @param shape above 0 */
export function gammaDeviate(shape: number, random: Random): number {
  // Below 1: a deviate of shape + 1 times a uniform number to the power of 1 / shape.
  if (shape < 1) return gammaDeviate(shape + 1, random) * Math.exp(-random.exponential() / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const normal = random.gaussian();
    const root = 1 + c * normal;
    if (root <= 0) continue;
    const cube = root * root * root;
    if (Math.log(random.uniform()) < (normal * normal) / 2 + d * (1 - cube + Math.log(cube))) return d * cube;
  }
}

/** Depth of a spot in radiation lengths. */
export function electromagneticDepth(energyGeV: number, photon: boolean, random: Random): number {
  const depthOfMaximum = Math.log(energyGeV / CRITICAL_ENERGY_GEV) + (photon ? 0.5 : -0.5);
  const shape = Math.max(EM_SHAPE_MIN, 1 + EM_SCALE * depthOfMaximum);
  return gammaDeviate(shape, random) / EM_SCALE;
}

/** Depth of a spot after the first interaction, in interaction lengths. */
export function hadronicDepth(energyGeV: number, random: Random): number {
  const logEnergy = Math.log(Math.max(energyGeV, 1));
  const deviate = gammaDeviate(0.6165 + 0.3183 * logEnergy, random);
  if (random.uniform() < HADRONIC_EM_SHARE) return deviate / HADRONIC_EM_SCALE / X0_PER_LAMBDA;
  // The slope falls with the energy; far beyond any collider it is held above zero.
  return deviate / Math.max(0.1, 0.9099 - 0.0237 * logEnergy);
}

/** Distance of a spot from the shower's axis; half of them lie within `medianMm`. */
export function radialDistance(medianMm: number, random: Random): number {
  const uniform = random.uniform();
  return medianMm * Math.sqrt(uniform / (1 - uniform));
}
