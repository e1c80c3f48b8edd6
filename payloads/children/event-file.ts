/** An event as a complete file of its format, for programs that read files: run header, event, trailer. */
import { EMPTY_INFO } from '../formats/event-stream-info.ts';
import { outputFormat } from '../formats/registry.ts';
import type { PayloadEvent } from '../payload.ts';
import { PayloadFailure } from '../payload-failure.ts';

/** @throws PayloadFailure `input-error` for an entry of a ROOT tree: ROOT files are only read */
export function completeEventFile(event: PayloadEvent): Uint8Array {
  const { format, runHeader, bytes } = event;
  if (format === 'root') {
    throw new PayloadFailure('{input} cannot be made of an entry of a ROOT tree; {event} is its branches as msgpack', {
      cause: 'input-error',
    });
  }
  const output = outputFormat(format);
  const before = output.begin({ stream: 'EVENT', runHeader, inputFormat: format });
  return Buffer.concat([before, bytes, output.end(EMPTY_INFO)]);
}
