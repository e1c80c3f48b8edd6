/** Sums up each event: how many final-state particles it has, by kind. */
import { definePayload } from 'granule/payload';

export default definePayload({
  name: '{{name}}',
  version: '1',
  outputs: { KINDS: { format: 'ndjson' } },

  execute(event, context) {
    const kinds = {};
    for (const { status, pdgId } of event.decode().particles) {
      if (status === 1) kinds[pdgId] = (kinds[pdgId] ?? 0) + 1;
    }
    context.output('KINDS').write({ position: event.position, kinds });
  },
});
