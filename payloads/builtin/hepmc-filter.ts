/**
 * Payload `hepmc-filter`: writes the events that pass simple cuts on their final-state particles (status 1) to stream
 * `EVENTS`, their bytes unchanged, in the HepMC version and with the run header of the input.
 */
import type { GeneratorEvent, Particle } from '../formats/generator-event.ts';
import { definePayload } from '../payload.ts';
import type { HepmcFilterOptions } from './hepmc-filter-options.ts';

/** A particle's part of the cuts. @param gevPerUnit of its momenta */
function matches(particle: Particle, options: HepmcFilterOptions, gevPerUnit: number): boolean {
  const { pdgId, ptMinGeV, etaMax } = options;
  if (pdgId !== undefined && !pdgId.includes(particle.pdgId)) return false;
  const pt = Math.sqrt(particle.px * particle.px + particle.py * particle.py);
  if (pt * gevPerUnit < ptMinGeV) return false;
  // Pseudorapidity is asinh(pz / pt): infinite along the beam.
  return etaMax === undefined || Math.asinh(Math.abs(particle.pz) / pt) <= etaMax;
}

/** Whether an event passes all cuts but `every`. */
function passesCuts(event: GeneratorEvent, options: HepmcFilterOptions): boolean {
  const gevPerUnit = event.momentumUnit === 'MEV' ? 0.001 : 1;
  let finalCount = 0;
  let matchingCount = 0;
  for (const particle of event.particles) {
    if (particle.status !== 1) continue;
    finalCount += 1;
    if (matches(particle, options, gevPerUnit)) matchingCount += 1;
  }
  const cutsOnParticles = options.pdgId !== undefined || options.ptMinGeV > 0 || options.etaMax !== undefined;
  const minMatching = options.minMatching ?? (cutsOnParticles ? 1 : 0);
  return finalCount >= options.minParticles && matchingCount >= minMatching;
}

export default definePayload<HepmcFilterOptions, undefined, GeneratorEvent>({
  name: 'hepmc-filter',
  version: '1',
  inputFormats: ['hepmc3', 'hepmc2'],
  outputs: { EVENTS: { format: 'as-input' } },
  options: async () => (await import('./hepmc-filter-options.ts')).schema,
  execute(event, context) {
    if ((event.position - 1) % context.options.every !== 0) return;
    if (passesCuts(event.decode(), context.options)) context.output('EVENTS').write(event.bytes);
  },
});
