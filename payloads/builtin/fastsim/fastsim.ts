/**
 * Payload `fastsim`: a simple but real simulation of a detector. Final-state particles of HepMC and LHE events fly from
 * where they were made through a solenoid field, leave hits in tracking layers and energy in calorimeter cells.
 *
 * Not simulated: decays in flight, energy loss and secondaries in the tracker, hits of particles that curl back, pile-up.
 *
 * All randomness comes from the event's seed. Lengths are written in whole micrometres, energies in whole keV.
 */
import type { GeneratorEvent, LheEvent } from '../../formats/generator-event.ts';
import { definePayload, type Random } from '../../payload.ts';
import { Calorimeter, type CalorimeterEntry } from './calorimeter.ts';
import { buildDetector, type Detector } from './detector.ts';
import type { FastsimOptions } from './fastsim-options.ts';
import { type FinalStateParticle, finalState } from './final-state.ts';
import { calorimeterEntry, type TrackHit, trackThroughLayers } from './tracker.ts';

/** The record of one event on stream `HITS`. Columns of one table have equal lengths. */
export interface FastsimRecord {
  /** of the event in its file, 1-based */
  readonly position: number;
  /** as the file says, null when it says none */
  readonly eventNumber: number | null;
  /** final-state particles that were simulated */
  readonly particleCount: number;
  /** final-state particles that the simulation does not know how to treat (an undecayed W, an unknown number) */
  readonly skippedCount: number;
  /** tracker hits, particle by particle, from the inside out */
  readonly hits: {
    /** number of the particle in the event */
    readonly particle: readonly number[];
    /** 0-based */
    readonly layer: readonly number[];
    readonly xUm: readonly number[];
    readonly yUm: readonly number[];
    readonly zUm: readonly number[];
  };
  /** calorimeter cells, by layer, pseudorapidity and azimuth: see `CalorimeterCell` */
  readonly cells: {
    readonly layer: readonly number[];
    readonly etaIndex: readonly number[];
    readonly phiIndex: readonly number[];
    readonly energyKeV: readonly number[];
  };
}

const micrometres = (mm: number): number => Math.round(mm * 1000) + 0;
const kiloElectronvolts = (gev: number): number => Math.round(gev * 1e6) + 0;

/** What the calorimeter sees of a hadron: a baryon's rest energy stays in its nucleons, an antibaryon frees two. */
function hadronicEnergy({ kind, pdgId, energyGeV, massGeV }: FinalStateParticle): number {
  if (kind !== 'baryon' && kind !== 'nucleus') return energyGeV;
  return pdgId < 0 ? energyGeV + massGeV : energyGeV - massGeV;
}

function deposit(particle: FinalStateParticle, entry: CalorimeterEntry, calorimeter: Calorimeter): void {
  switch (particle.kind) {
    case 'electron':
    case 'photon':
      calorimeter.addElectromagneticShower(entry, particle.energyGeV, particle.kind === 'photon');
      return;
    case 'muon':
      calorimeter.addIonisation(entry, particle.energyGeV - particle.massGeV);
      return;
    case 'meson':
    case 'baryon':
    case 'nucleus':
    case 'parton':
      calorimeter.addHadronicShower(entry, hadronicEnergy(particle));
      return;
    case 'invisible':
    case 'other':
  }
}

/** Everything one event leaves in the detector. */
export function simulate(
  event: GeneratorEvent | LheEvent,
  detector: Detector,
  random: Random,
): Omit<FastsimRecord, 'position' | 'eventNumber'> {
  const calorimeter = new Calorimeter(detector, random);
  const hits: (TrackHit & { readonly particle: number })[] = [];
  let particleCount = 0;
  let skippedCount = 0;
  for (const particle of finalState(event)) {
    if (particle.kind === 'other') {
      skippedCount += 1;
      continue;
    }
    particleCount += 1;
    const { state: start, charge, massGeV } = particle;
    if (particle.kind === 'invisible' || (start.px === 0 && start.py === 0)) continue;
    const ownHits: TrackHit[] = [];
    const state = charge === 0 ? start : trackThroughLayers(detector, { start, charge, massGeV }, random, ownHits);
    for (const hit of ownHits) hits.push({ ...hit, particle: particle.id });
    const entry = calorimeterEntry(detector, state, charge);
    if (entry !== undefined) deposit(particle, entry, calorimeter);
  }
  const cells = calorimeter
    .cells()
    .map((cell) => ({ ...cell, energyKeV: kiloElectronvolts(cell.energyGeV) }))
    .filter(({ energyKeV }) => energyKeV > 0);
  return {
    particleCount,
    skippedCount,
    hits: {
      particle: hits.map(({ particle }) => particle),
      layer: hits.map(({ layer }) => layer),
      xUm: hits.map(({ x }) => micrometres(x)),
      yUm: hits.map(({ y }) => micrometres(y)),
      zUm: hits.map(({ z }) => micrometres(z)),
    },
    cells: {
      layer: cells.map(({ layer }) => layer),
      etaIndex: cells.map(({ etaIndex }) => etaIndex),
      phiIndex: cells.map(({ phiIndex }) => phiIndex),
      energyKeV: cells.map(({ energyKeV }) => energyKeV),
    },
  };
}

export default definePayload<FastsimOptions, Detector, GeneratorEvent | LheEvent>({
  name: 'fastsim',
  version: '1',
  inputFormats: ['hepmc3', 'hepmc2', 'lhe'],
  outputs: { HITS: { format: 'gev', eventType: 'simulation' } },
  options: async () => (await import('./fastsim-options.ts')).schema,
  prepare: (context) => buildDetector(context.options),
  execute(event, context) {
    const record: FastsimRecord = {
      position: event.position,
      eventNumber: Number.isNaN(event.eventNumber) ? null : event.eventNumber,
      ...simulate(event.decode(), context.shared, context.random),
    };
    context.output('HITS').write(record);
  },
});
