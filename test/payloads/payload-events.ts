/** The events of some bytes as a payload gets them: cut and decoded by the input format that recognises them. */
import { inputFormat } from '../../payloads/formats/registry.ts';
import { generateTo, TOY_DEFAULTS, type ToySettings } from '../../payloads/generator/toy-generator.ts';
import type { PayloadEvent } from '../../payloads/payload.ts';
import { indexBytes } from './formats/indexed.ts';
import { payloadEvent } from './run-payload.ts';

/** @param bytes a whole file, inflated */
export function eventsOf<Decoded>(bytes: Buffer): PayloadEvent<Decoded>[] {
  const { format, events, segments } = indexBytes(bytes);
  return events.map(({ offsetBytes, lengthBytes }, index) => {
    const segment = segments.findLast(({ firstPosition }) => firstPosition <= index + 1);
    const start = segment?.offsetBytes ?? 0;
    const runHeader = bytes.subarray(start, start + (segment?.lengthBytes ?? 0));
    const eventBytes = bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
    return payloadEvent<Decoded>({
      position: index + 1,
      bytes: eventBytes,
      format,
      runHeader,
      decode: () => inputFormat(format).decode(eventBytes, runHeader) as Decoded,
    });
  });
}

/** A file of generated events. */
export async function generatedFile(events: number, settings: Partial<ToySettings> = {}): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const keep = async (chunk: Uint8Array) => {
    chunks.push(chunk);
  };
  await generateTo(keep, { ...TOY_DEFAULTS, seed: 1, ...settings, events });
  return Buffer.concat(chunks);
}
