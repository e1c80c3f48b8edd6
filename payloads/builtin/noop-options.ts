/** Options of the payload `noop`. */
import * as z from 'zod';
import { numberValue } from './option-values.ts';

export const schema = z.strictObject({
  bytes: numberValue(z.int().min(0).max(16_777_216))
    .default(0)
    .describe('size of the record written per event, in bytes; 0 writes none'),
});

export type NoopOptions = z.output<typeof schema>;
