/**
 * What the numbers of particles say about them: electric charge and kind, read off the digits.
 *
 * Source: "Monte Carlo Particle Numbering Scheme", Review of Particle Physics (Particle Data Group, 2024), chapter 45.
 * A number is ±n nr nL nq1 nq2 nq3 nJ: the quarks of a hadron stand in the digits of thousands, hundreds and tens;
 * nuclei are ±10LZZZAAAI. Antiparticles have negative numbers.
 */

/** Three times the charge of quarks 1..8 (d u s c b t b' t'). */
function quarkCharge(digit: number): number {
  return digit % 2 === 0 ? 2 : -1;
}

/** Charges of fundamental particles 11..99 that have one, times three. */
const FUNDAMENTAL_CHARGES: ReadonlyMap<number, number> = new Map([
  [11, -3],
  [13, -3],
  [15, -3],
  [17, -3],
  [24, 3],
  [34, 3],
  [37, 3],
]);

const digit = (number: number, place: number): number => Math.floor(number / place) % 10;

function isNucleus(magnitude: number): boolean {
  return magnitude >= 1_000_000_000 && magnitude < 1_100_000_000;
}

function chargeOfMagnitude(magnitude: number): number {
  if (isNucleus(magnitude)) return 3 * (Math.floor(magnitude / 10_000) % 1000);
  const lastDigits = magnitude % 10_000;
  if (lastDigits < 10) return lastDigits === 0 || lastDigits === 9 ? 0 : quarkCharge(lastDigits);
  if (lastDigits < 100) return FUNDAMENTAL_CHARGES.get(lastDigits) ?? 0;
  const q1 = digit(lastDigits, 1000);
  const q2 = digit(lastDigits, 100);
  const q3 = digit(lastDigits, 10);
  if (q3 === 0) return q1 === 0 || q2 === 0 ? 0 : quarkCharge(q1) + quarkCharge(q2);
  if (q1 !== 0) return quarkCharge(q1) + quarkCharge(q2) + quarkCharge(q3);
  // Of a meson's two quarks the heavier, q2, is the antiquark if it is down-like: K+ (321) is u and anti-s.
  const charge = quarkCharge(q2) - quarkCharge(q3);
  return q2 % 2 === 0 ? charge : -charge;
}

/** Electric charge times three (so that it is whole for quarks too). 0 for numbers the scheme does not know. */
export function chargeTimesThree(pdgId: number): number {
  const charge = chargeOfMagnitude(Math.abs(pdgId));
  if (charge === 0) return 0;
  return pdgId < 0 ? -charge : charge;
}

/**
 * How a particle acts in matter.
 * - `parton`: quark, gluon, diquark; as final state in files of matrix elements only, where it stands for a jet
 * - `invisible`: neutrinos, gravitons and the neutral supersymmetric and dark matter particles
 * - `other`: everything that decays before it could be seen (W, Z, Higgs, tau, top), and unknown numbers
 */
export type ParticleKind =
  | 'electron'
  | 'photon'
  | 'muon'
  | 'meson'
  | 'baryon'
  | 'nucleus'
  | 'parton'
  | 'invisible'
  | 'other';

const FUNDAMENTAL_KINDS: ReadonlyMap<number, ParticleKind> = new Map([
  [11, 'electron'],
  [12, 'invisible'],
  [13, 'muon'],
  [14, 'invisible'],
  [16, 'invisible'],
  [18, 'invisible'],
  [21, 'parton'],
  [22, 'photon'],
  [39, 'invisible'],
  [51, 'invisible'],
  [52, 'invisible'],
  [53, 'invisible'],
  [1_000_012, 'invisible'],
  [1_000_014, 'invisible'],
  [1_000_016, 'invisible'],
  [1_000_022, 'invisible'],
  [1_000_039, 'invisible'],
]);

/** See {@link ParticleKind}; particle and antiparticle are of one kind. */
export function particleKind(pdgId: number): ParticleKind {
  const magnitude = Math.abs(pdgId);
  const fundamental = FUNDAMENTAL_KINDS.get(magnitude);
  if (fundamental !== undefined) return fundamental;
  if (isNucleus(magnitude)) return 'nucleus';
  if (magnitude >= 1 && magnitude <= 5) return 'parton';
  // 110, 990 and 9990 stand for pomeron, odderon and a diffractive system, not for hadrons.
  if (magnitude < 100 || magnitude >= 10_000_000 || digit(magnitude, 10) === 0) {
    return isDiquark(magnitude) ? 'parton' : 'other';
  }
  if (magnitude === 110 || magnitude === 990 || magnitude === 9990) return 'other';
  if (magnitude >= 1_000_000 && magnitude < 9_000_000) return 'other';
  if (digit(magnitude, 100) === 0) return 'other';
  return digit(magnitude, 1000) === 0 ? 'meson' : 'baryon';
}

function isDiquark(magnitude: number): boolean {
  return magnitude > 1000 && magnitude < 10_000 && digit(magnitude, 100) !== 0;
}
