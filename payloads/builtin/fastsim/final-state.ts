/** What `fastsim` simulates of a generator event: its final-state particles in GeV and mm. */
import { type GeneratorEvent, type LheEvent, type Particle, vertexPosition } from '../../formats/generator-event.ts';
import { chargeTimesThree, type ParticleKind, particleKind } from '../../particle-numbering.ts';
import type { TrackState } from './helix.ts';

export interface FinalStateParticle {
  /** number of the particle in its event */
  readonly id: number;
  readonly pdgId: number;
  readonly kind: ParticleKind;
  /** in units of the proton's; 0 for partons, which stand for a jet */
  readonly charge: number;
  readonly massGeV: number;
  readonly energyGeV: number;
  /** at its production */
  readonly state: TrackState;
}

/** HepMC and LHE alike mark a final-state particle with 1. */
const FINAL_STATUS = 1;

/** In the order of the event. Matrix-element events (LHE) have no vertices: all their particles start at the origin. */
export function finalState(event: GeneratorEvent | LheEvent): FinalStateParticle[] {
  if (!('vertices' in event)) {
    return event.particles
      .filter(({ status }) => status === FINAL_STATUS)
      .map((particle) => finalStateParticle(particle, { x: 0, y: 0, z: 0 }, 1));
  }
  const gevPerUnit = event.momentumUnit === 'MEV' ? 0.001 : 1;
  const mmPerUnit = event.lengthUnit === 'CM' ? 10 : 1;
  return event.particles
    .filter(({ status }) => status === FINAL_STATUS)
    .map((particle) => {
      const { x, y, z } = vertexPosition(event, particle.productionVertex);
      const place = { x: x * mmPerUnit, y: y * mmPerUnit, z: z * mmPerUnit };
      return finalStateParticle(particle, place, gevPerUnit);
    });
}

function finalStateParticle(
  { id, pdgId, px, py, pz, energy, mass }: Particle,
  place: { readonly x: number; readonly y: number; readonly z: number },
  gevPerUnit: number,
): FinalStateParticle {
  const kind = particleKind(pdgId);
  return {
    id,
    pdgId,
    kind,
    charge: kind === 'parton' ? 0 : chargeTimesThree(pdgId) / 3,
    massGeV: mass * gevPerUnit,
    energyGeV: energy * gevPerUnit,
    state: { ...place, px: px * gevPerUnit, py: py * gevPerUnit, pz: pz * gevPerUnit },
  };
}
