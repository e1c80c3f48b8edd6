/** Sums up each event: how many visible particles it has, and how much transverse momentum they carry. */
import { definePayload, type GeneratorEvent } from 'granule/payload';
import type { Options } from './options.ts';

/** Neutrinos leave no trace in a detector. */
const NEUTRINOS = [12, 14, 16];

export default definePayload<Options, undefined, GeneratorEvent>({
  name: '{{name}}',
  version: '1',
  outputs: { SUMMARY: { format: 'ndjson' } },
  options: async () => (await import('./options.ts')).schema,

  execute(event, context) {
    const { ptMin } = context.options;
    let visible = 0;
    let sumPt = 0;
    for (const { status, pdgId, px, py } of event.decode().particles) {
      // The last bits of Math.hypot and ** depend on the engine, those of products, sums and roots do not.
      const pt = Math.sqrt(px * px + py * py);
      if (status !== 1 || pt < ptMin || NEUTRINOS.includes(Math.abs(pdgId))) continue;
      visible += 1;
      sumPt += pt;
    }
    context.output('SUMMARY').write({ position: event.position, visible, sumPt });
  },
});
