/** Options of the example; a file of its own, so that workers never load zod. */
import { z } from 'zod';

export const schema = z.object({
  nodes: z.int().min(2).max(400).default(256).describe('per axis; 256 make a map of 201 MB'),
});

export type Options = z.output<typeof schema>;
