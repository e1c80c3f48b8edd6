/**
 * Payload `digest`: the SHA-256 of each event's bytes, one JSON object a line on stream `DIGEST`. It does next to
 * nothing per event, so it shows what the event service itself costs, and proves which bytes were read.
 */
import { hash } from 'node:crypto';
import { definePayload } from '../payload.ts';

/** One line of `DIGEST`. */
export interface DigestRecord {
  readonly guid: string;
  readonly lfn: string;
  /** 1-based */
  readonly position: number;
  readonly sizeBytes: number;
  /** lower-case hexadecimal */
  readonly sha256: string;
}

export default definePayload({
  name: 'digest',
  version: '1',
  outputs: { DIGEST: { format: 'ndjson' } },
  options: async () => (await import('./no-options.ts')).schema,
  execute(event, context) {
    const record: DigestRecord = {
      guid: event.guid,
      lfn: event.lfn,
      position: event.position,
      sizeBytes: event.bytes.length,
      sha256: hash('sha256', event.bytes, 'hex'),
    };
    context.output('DIGEST').write(record);
  },
});
