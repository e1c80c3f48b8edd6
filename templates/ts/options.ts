/** Options of the payload, checked before a run starts. A file of its own: workers then never load zod. */
import { z } from 'zod';

export const schema = z.object({
  ptMin: z.number().min(0).default(0.5).describe('transverse momentum of the softest particle counted, in GeV'),
});

export type Options = z.output<typeof schema>;
