/** Tracking: where charged particles cross the layers, how they scatter there, and what the layers measure. */
import type { Random } from '../../payload.ts';
import type { Detector, TrackerLayer } from './detector.ts';
import { Helix, type TrackState } from './helix.ts';

/** A measured point, in mm. */
export interface TrackHit {
  /** 0-based, from the inside out */
  readonly layer: number;
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** Grazing particles would see a layer as infinitely thick. */
const OBLIQUITY_MAX = 10;

/**
 * Takes a charged particle outwards through all layers that it crosses on its first arc.
 *
 * @param hits receives what is measured
 * @returns the particle after the last layer it crossed (`start` itself if there was none)
 */
export function trackThroughLayers(
  detector: Detector,
  particle: { readonly start: TrackState; readonly charge: number; readonly massGeV: number },
  random: Random,
  hits: TrackHit[],
): TrackState {
  let state = particle.start;
  for (const [index, layer] of detector.layers.entries()) {
    if (layer.radiusMm * layer.radiusMm <= state.x * state.x + state.y * state.y) continue;
    const helix = new Helix(state, particle.charge, detector.fieldTesla);
    const path = helix.pathToRadius(layer.radiusMm);
    if (path === undefined) break;
    const crossing = helix.at(path);
    if (Math.abs(crossing.z) > layer.halfLengthMm) continue;
    if (random.uniform() < detector.hitEfficiency) hits.push(measure(crossing, layer, index, random));
    state = scatter(crossing, layer, particle, random);
  }
  return state;
}

/** The crossing, moved along the circumference and along z by the layer's resolution. */
function measure(crossing: TrackState, layer: TrackerLayer, index: number, random: Random): TrackHit {
  const turn = (random.gaussian() * layer.rPhiResolutionMm) / layer.radiusMm;
  return {
    layer: index,
    x: crossing.x - turn * crossing.y,
    y: crossing.y + turn * crossing.x,
    z: crossing.z + random.gaussian() * layer.zResolutionMm,
  };
}

/**
 * Width of the projected angle of multiple scattering, in rad (Highland, as in the Review of Particle Physics, "Passage
 * of Particles Through Matter"): 13.6 MeV / (beta c p) |z| sqrt(x/X0) (1 + 0.038 ln(x z^2 / (X0 beta^2))).
 *
 * @param betaMomentumGeV beta times momentum
 */
export function scatteringAngle(thicknessX0: number, charge: number, betaMomentumGeV: number, beta: number): number {
  if (thicknessX0 <= 0) return 0;
  const logarithm = 1 + 0.038 * Math.log((thicknessX0 * charge * charge) / (beta * beta));
  return Math.max(0, (0.0136 / betaMomentumGeV) * Math.abs(charge) * Math.sqrt(thicknessX0) * logarithm);
}

function scatter(
  state: TrackState,
  layer: TrackerLayer,
  particle: { readonly charge: number; readonly massGeV: number },
  random: Random,
): TrackState {
  const { x, y, px, py, pz } = state;
  const momentum = Math.sqrt(px * px + py * py + pz * pz);
  const beta = momentum / Math.sqrt(momentum * momentum + particle.massGeV * particle.massGeV);
  const radial = Math.abs(x * px + y * py) / (layer.radiusMm * momentum);
  const thickness = layer.thicknessX0 * Math.min(1 / radial, OBLIQUITY_MAX);
  const width = scatteringAngle(thickness, particle.charge, beta * momentum, beta);
  // Two directions at right angles to the momentum: the azimuthal one, and the one that completes the frame.
  const transverse = Math.sqrt(px * px + py * py);
  const first = random.gaussian() * width * momentum;
  const second = random.gaussian() * width;
  const newX = px - (first * py) / transverse - (second * px * pz) / transverse;
  const newY = py + (first * px) / transverse - (second * py * pz) / transverse;
  const newZ = pz + second * transverse;
  const scale = momentum / Math.sqrt(newX * newX + newY * newY + newZ * newZ);
  return { x, y, z: state.z, px: newX * scale, py: newY * scale, pz: newZ * scale };
}

/**
 * Where a particle enters the calorimeter: the barrel, or an end cap within its acceptance. Undefined for one that
 * curls up inside, leaves along the beam or starts outside.
 */
export function calorimeterEntry(
  detector: Detector,
  state: TrackState,
  charge: number,
): { readonly state: TrackState; readonly side: 'barrel' | 'endcap' } | undefined {
  const { calorimeterRadiusMm, calorimeterHalfLengthMm, calorimeterEtaMax } = detector;
  const inside =
    Math.abs(state.z) < calorimeterHalfLengthMm &&
    state.x * state.x + state.y * state.y < calorimeterRadiusMm * calorimeterRadiusMm;
  if (!inside || (state.px === 0 && state.py === 0)) return undefined;
  const helix = new Helix(state, charge, detector.fieldTesla);
  const toBarrel = helix.pathToRadius(calorimeterRadiusMm) ?? Number.POSITIVE_INFINITY;
  const toEndcap = helix.pathToPlane(Math.sign(state.pz) * calorimeterHalfLengthMm) ?? Number.POSITIVE_INFINITY;
  if (toBarrel <= toEndcap)
    return toBarrel === Number.POSITIVE_INFINITY ? undefined : { state: helix.at(toBarrel), side: 'barrel' };
  const entry = helix.at(toEndcap);
  const radius = Math.sqrt(entry.x * entry.x + entry.y * entry.y);
  const eta = Math.asinh(calorimeterHalfLengthMm / radius);
  return eta > calorimeterEtaMax ? undefined : { state: entry, side: 'endcap' };
}
