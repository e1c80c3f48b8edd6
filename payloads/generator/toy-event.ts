/** One toy event as a graph of particles and vertices: e- e+ -> Z -> particles by phase space, which then decay. */
import { assert } from '../../core/assert.ts';
import { createRandom, eventSeed, type Random } from '../../core/random.ts';
import { boostFromRest, type FourMomentum, onShell } from './four-momentum.ts';
import { phaseSpaceMomenta } from './phase-space.ts';
import { antiparticle, findToyParticle, PRIMARY_CHOICES, type ToyParticleData } from './toy-particles.ts';

/** HepMC's status codes, as far as they occur here. */
const STATUS = { final: 1, decayed: 2, beam: 4 } as const;

export interface ToyParticle {
  readonly pdgId: number;
  readonly momentum: FourMomentum;
  readonly massGeV: number;
  readonly status: (typeof STATUS)[keyof typeof STATUS];
  /** 0-based index of the vertex it comes from; undefined for the beams */
  readonly productionVertex: number | undefined;
}

/** In mm; the time is times c. */
export interface ToyPosition {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly t: number;
}

export interface ToyVertex {
  /** 0-based indices of particles */
  readonly incoming: readonly number[];
  readonly position: ToyPosition;
}

/** Particles and vertices stand in the order of their making: what comes in stands before what goes out. */
export interface ToyEvent {
  readonly particles: readonly ToyParticle[];
  readonly vertices: readonly ToyVertex[];
}

export interface ToySettings {
  /** a safe non-negative integer; with the event's number it decides everything */
  readonly seed: number;
  /** centre-of-mass energy */
  readonly energyGeV: number;
  /** mean number of particles from the collision itself, before decays; each event has at least two */
  readonly meanPrimaries: number;
}

const ORIGIN: ToyPosition = { x: 0, y: 0, z: 0, t: 0 };
const BEAM_PDG_ID = 11;
const Z_PDG_ID = 23;
/** Share of the energy that may go into masses: leaves room for motion. */
const MASS_SHARE_MAX = 0.5;

function particleData(pdgId: number): ToyParticleData {
  const data = findToyParticle(pdgId);
  assert(data !== undefined, `particle ${pdgId} is in the generator's table`);
  return data;
}

/** Knuth's method with the product taken as a sum of logarithms: fine for the means in use here. */
function poisson(mean: number, random: Random): number {
  let count = 0;
  for (let sum = random.exponential(); sum < mean; sum += random.exponential()) count += 1;
  return count;
}

/** Index of the choice that a uniform draw falls on. */
function choose(rates: readonly number[], random: Random): number {
  let left = random.uniform() * rates.reduce((sum, rate) => sum + rate, 0);
  for (const [index, rate] of rates.entries()) {
    left -= rate;
    if (left < 0) return index;
  }
  return rates.length - 1;
}

const PRIMARY_RATES = PRIMARY_CHOICES.map(({ rate }) => rate);

function choosePrimaries(settings: ToySettings, random: Random): number[] {
  const wanted = Math.max(2, poisson(settings.meanPrimaries, random));
  const pdgIds: number[] = [];
  let massLeft = MASS_SHARE_MAX * settings.energyGeV;
  while (pdgIds.length < wanted) {
    const choice = PRIMARY_CHOICES[choose(PRIMARY_RATES, random)]?.pdgIds ?? [];
    const mass = choice.reduce((sum, pdgId) => sum + particleData(pdgId).massGeV, 0);
    if (mass > massLeft) {
      // Too heavy for what is left: photons always fit.
      pdgIds.push(22);
      continue;
    }
    massLeft -= mass;
    pdgIds.push(...choice);
  }
  return pdgIds;
}

class EventBuilder {
  readonly particles: ToyParticle[] = [];
  readonly vertices: ToyVertex[] = [];
  private readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  /** @returns index of the vertex */
  addVertex(incoming: readonly number[], position: ToyPosition): number {
    this.vertices.push({ incoming, position });
    return this.vertices.length - 1;
  }

  /** Adds what a parent decays into by phase space. */
  addProducts(parentIndex: number, pdgIds: readonly number[], position: ToyPosition): void {
    const parent = this.particles[parentIndex];
    assert(parent !== undefined, 'a parent exists before its products');
    const productionVertex = this.addVertex([parentIndex], position);
    const masses = pdgIds.map((pdgId) => particleData(pdgId).massGeV);
    const atRest = phaseSpaceMomenta(parent.massGeV, masses, this.random);
    for (const [index, momentum] of atRest.entries()) {
      const pdgId = pdgIds[index] ?? 0;
      const massGeV = masses[index] ?? 0;
      this.particles.push({
        pdgId,
        massGeV,
        momentum: boostFromRest(momentum, massGeV, parent.momentum, parent.massGeV),
        status: particleData(pdgId).decays.length === 0 ? STATUS.final : STATUS.decayed,
        productionVertex,
      });
    }
  }

  /** Lets everything unstable from `firstIndex` on decay, and what comes of it. */
  decayAll(firstIndex: number): void {
    for (let index = firstIndex; index < this.particles.length; index += 1) {
      const particle = this.particles[index];
      if (particle?.status !== STATUS.decayed) continue;
      const { decays, lifeTimeMm } = particleData(particle.pdgId);
      const channel =
        decays[
          choose(
            decays.map(({ fraction }) => fraction),
            this.random,
          )
        ]?.products ?? [];
      const products = particle.pdgId < 0 ? channel.map(antiparticle) : channel;
      this.addProducts(index, products, this.decayPosition(particle, lifeTimeMm));
    }
  }

  /** Flight of an exponentially distributed proper time. */
  private decayPosition(particle: ToyParticle, lifeTimeMm: number): ToyPosition {
    const start = this.vertices[particle.productionVertex ?? 0]?.position ?? ORIGIN;
    if (lifeTimeMm === 0) return start;
    const { px, py, pz, energy } = particle.momentum;
    const flight = (lifeTimeMm * this.random.exponential()) / particle.massGeV;
    return {
      x: start.x + flight * px,
      y: start.y + flight * py,
      z: start.z + flight * pz,
      t: start.t + flight * energy,
    };
  }
}

/** @param eventNumber a non-negative integer */
export function toyEvent(settings: ToySettings, eventNumber: number): ToyEvent {
  const random = createRandom(eventSeed(settings.seed, 'toy-generator', eventNumber));
  const builder = new EventBuilder(random);
  const beamMass = particleData(BEAM_PDG_ID).massGeV;
  const beamEnergy = settings.energyGeV / 2;
  const beamPz = Math.sqrt((beamEnergy - beamMass) * (beamEnergy + beamMass));
  const beam = { massGeV: beamMass, status: STATUS.beam, productionVertex: undefined };
  builder.particles.push(
    { ...beam, pdgId: BEAM_PDG_ID, momentum: onShell(0, 0, beamPz, beamMass) },
    { ...beam, pdgId: -BEAM_PDG_ID, momentum: onShell(0, 0, -beamPz, beamMass) },
  );
  const collision = builder.addVertex([0, 1], ORIGIN);
  builder.particles.push({
    pdgId: Z_PDG_ID,
    massGeV: settings.energyGeV,
    momentum: { px: 0, py: 0, pz: 0, energy: settings.energyGeV },
    status: STATUS.decayed,
    productionVertex: collision,
  });
  builder.addProducts(2, choosePrimaries(settings, random), ORIGIN);
  builder.decayAll(3);
  return { particles: builder.particles, vertices: builder.vertices };
}
