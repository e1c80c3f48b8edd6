/** In which format a worker writes a stream: what the payload declares, or that of the input. */
import { GranuleError } from '../../core/errors.ts';
import type { WorkerFile } from '../../core/messages.ts';
import type { OutputFormat } from '../../payloads/formats/event-format.ts';
import { outputFormat } from '../../payloads/formats/registry.ts';
import type { OutputDeclarations } from '../../payloads/payload.ts';

/** @throws PAYLOAD_OUTPUT_INVALID for a stream that is not declared, or that cannot be written as its input is */
export function formatOfStream(outputs: OutputDeclarations, stream: string, inputFile: WorkerFile): OutputFormat {
  const declaration = outputs[stream];
  if (declaration === undefined) {
    throw new GranuleError(
      'PAYLOAD_OUTPUT_INVALID',
      `the payload declares no stream "${stream}"; it has ${Object.keys(outputs).join(', ') || 'none'}`,
      { details: { stream }, remedy: 'add the stream to `outputs` of the payload' },
    );
  }
  if (declaration.format !== 'as-input') return outputFormat(declaration.format);
  if (inputFile.format !== 'root') return outputFormat(inputFile.format);
  throw new GranuleError('PAYLOAD_OUTPUT_INVALID', `stream ${stream} is "as-input", and ROOT files are only read`, {
    details: { stream },
    remedy: 'declare another format for the stream, for instance gev',
  });
}
