/**
 * The lines that granule and a co-process exchange, version 1: one JSON object a line, UTF-8. Told at length, for those
 * who write one, in `docs/coprocess-protocol.md`.
 */
import { isUtf8 } from 'node:buffer';
import { describeThrown } from '../../core/errors.ts';
import { PayloadFailure } from '../payload-failure.ts';

export const COPROCESS_PROTOCOL = 1;

/** Bytes in a line: as text where they are UTF-8, else in base64, or in a file. */
export type CarriedBytes = { readonly text: string } | { readonly base64: string } | { readonly file: string };

export type ToCoprocess =
  | {
      readonly kind: 'hello';
      readonly protocol: typeof COPROCESS_PROTOCOL;
      /** 0-based */
      readonly workerIndex: number;
      /** a folder for this co-process alone */
      readonly folder: string;
      /** format of each stream */
      readonly outputs: Readonly<Record<string, string>>;
    }
  /** run information in force for the events that follow */
  | ({ readonly kind: 'runHeader'; readonly format: string } & CarriedBytes)
  | ({
      readonly kind: 'event';
      /** to be sent back */
      readonly id: number;
      readonly guid: string;
      readonly lfn: string;
      /** 1-based */
      readonly position: number;
      /** null where the file says none */
      readonly eventNumber: number | null;
      readonly runNumber: number | null;
      readonly format: string;
      readonly seed: number;
    } & CarriedBytes)
  /** no more events: finish and exit with 0 */
  | { readonly kind: 'end' };

export type FromCoprocess =
  | { readonly kind: 'ready'; readonly protocol: number }
  | {
      readonly kind: 'done';
      readonly id: number;
      /** per stream its records, or all it has for this event as one piece; a stream may be left out */
      readonly outputs: Readonly<Record<string, readonly unknown[] | CarriedBytes>>;
    }
  | { readonly kind: 'failed'; readonly id: number; readonly reason: string }
  | { readonly kind: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string };

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'];
const SHOWN_CHARS = 120;

export function inlineBytes(bytes: Uint8Array): CarriedBytes {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(bytes) ? { text: buffer.toString('utf8') } : { base64: buffer.toString('base64') };
}

/**
 * Undefined for a line that is no message but something the program printed.
 *
 * @throws PayloadFailure `protocol` for a message that breaks the rules
 */
export function parseCoprocessLine(line: string): FromCoprocess | undefined {
  if (!line.startsWith('{')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw violation(`a line is not JSON (${describeThrown(error).message})`, line);
  }
  const message = value as Readonly<Record<string, unknown>>;
  const refuse = (what: string): never => {
    throw violation(what, line);
  };
  switch (message['kind']) {
    case 'ready':
      if (message['protocol'] !== COPROCESS_PROTOCOL) refuse(`"ready" needs "protocol": ${COPROCESS_PROTOCOL}`);
      break;
    case 'done':
      if (!Number.isInteger(message['id'])) refuse('"done" needs the "id" of its event');
      if (!isOutputs(message['outputs'])) {
        refuse('"outputs" must hold, by stream, a list of records or one of "text", "base64" and "file"');
      }
      break;
    case 'failed':
      if (!Number.isInteger(message['id'])) refuse('"failed" needs the "id" of its event');
      if (typeof message['reason'] !== 'string') refuse('"failed" needs a "reason", which is a text');
      break;
    case 'log':
      if (!LOG_LEVELS.includes(String(message['level']))) refuse(`"level" is one of ${LOG_LEVELS.join(', ')}`);
      if (typeof message['message'] !== 'string') refuse('"log" needs a "message", which is a text');
      break;
    default:
      refuse('"kind" is one of ready, done, failed and log');
  }
  return value as FromCoprocess;
}

function isOutputs(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((records) => Array.isArray(records) || isCarriedBytes(records));
}

export function isCarriedBytes(value: unknown): value is CarriedBytes {
  if (typeof value !== 'object' || value === null) return false;
  const [[name, content] = [], ...others] = Object.entries(value);
  return others.length === 0 && typeof content === 'string' && ['text', 'base64', 'file'].includes(name ?? '');
}

export function violation(what: string, line: string): PayloadFailure {
  const shown = line.length > SHOWN_CHARS ? `${line.slice(0, SHOWN_CHARS)}…` : line;
  return new PayloadFailure(`the co-process broke the protocol: ${what}; found ${shown}`, { cause: 'protocol' });
}
