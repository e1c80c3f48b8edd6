/**
 * Writes a toy sample of lepton pairs as an LHE file: node make-sample.mjs FILE EVENTS
 *
 * The pair's mass follows a Breit–Wigner curve around the Z boson, its rapidity a normal distribution, the lepton's
 * angle 1 + cos². Momentum and charge are conserved; nothing else is meant to be physics.
 */
import { writeFileSync } from 'node:fs';

const [file = 'sample.lhe', events = '2000'] = process.argv.slice(2);
const BEAM = 6500;
const Z = { mass: 91.1876, width: 2.4952 };

let state = 12345;
/** Uniform in [0, 1): mulberry32. */
function uniform() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());

/** Draws until the value pleases. */
function until(draw, pleases) {
  for (;;) {
    const value = draw();
    if (pleases(value)) return value;
  }
}

function line(pdgId, status, mothers, colours, [px, py, pz, energy], mass, spin) {
  const numbers = [px, py, pz, energy, mass].map((value) => value.toExponential(10));
  return [pdgId, status, ...mothers, ...colours, ...numbers, 0, spin].join(' ');
}

function makeEvent() {
  const drawMass = () => Math.sqrt(Math.max(0, Z.mass ** 2 + Z.mass * Z.width * Math.tan(Math.PI * (uniform() - 0.5))));
  const mass = until(drawMass, (m) => m > 50 && m < 150);
  const rapidity = until(
    () => 1.5 * normal(),
    (y) => Math.abs(y) < 3.5,
  );
  const cos = until(
    () => 2 * uniform() - 1,
    (c) => 2 * uniform() < 1 + c * c,
  );
  const phi = 2 * Math.PI * uniform();
  const lepton = uniform() < 0.5 ? 11 : 13;

  const boost = (pz, energy) => [
    pz * Math.cosh(rapidity) + energy * Math.sinh(rapidity),
    energy * Math.cosh(rapidity) + pz * Math.sinh(rapidity),
  ];
  const half = mass / 2;
  const [px, py] = [half * Math.sqrt(1 - cos * cos) * Math.cos(phi), half * Math.sqrt(1 - cos * cos) * Math.sin(phi)];
  const quark = [0, 0, ...boost(half, half)];
  const antiquark = [0, 0, ...boost(-half, half)];
  return [
    '<event>',
    `5 1 1.0 ${mass.toExponential(6)} 7.81e-03 1.18e-01`,
    line(2, -1, [0, 0], [501, 0], quark, 0, 9),
    line(-2, -1, [0, 0], [0, 501], antiquark, 0, 9),
    line(23, 2, [1, 2], [0, 0], [0, 0, ...boost(0, mass)], mass, 9),
    line(lepton, 1, [3, 3], [0, 0], [px, py, ...boost(half * cos, half)], 0, 9),
    line(-lepton, 1, [3, 3], [0, 0], [-px, -py, ...boost(-half * cos, half)], 0, 9),
    '</event>',
  ].join('\n');
}

writeFileSync(
  file,
  [
    '<LesHouchesEvents version="3.0">',
    '<header>',
    'toy sample of lepton pairs',
    '</header>',
    '<init>',
    `2212 2212 ${BEAM} ${BEAM} 0 0 0 0 3 1`,
    '1.0 0.1 1.0 1',
    '</init>',
    ...Array.from({ length: Number(events) }, makeEvent),
    '</LesHouchesEvents>',
    '',
  ].join('\n'),
);
