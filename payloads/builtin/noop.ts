/**
 * Payload `noop`: does nothing, or writes a record of a fixed size (`bytes`) to stream `OUT`. For benchmarks of
 * everything around a payload.
 */
import { definePayload } from '../payload.ts';
import type { NoopOptions } from './noop-options.ts';

/** The record: bytes counting up from 0, again and again. */
function pattern(sizeBytes: number): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_value, index) => index & 0xff);
}

export default definePayload<NoopOptions, Uint8Array>({
  name: 'noop',
  version: '1',
  outputs: { OUT: { format: 'bytes' } },
  options: async () => (await import('./noop-options.ts')).schema,
  prepare: (context) => pattern(context.options.bytes),
  execute(_event, context) {
    if (context.shared.length > 0) context.output('OUT').write(context.shared);
  },
});
