/** A payload in this process, event by event, as a worker's session would run it: with a folder, a log and a signal. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OUTPUT_BYTES_MAX_DEFAULT } from '../../../core/limits.ts';
import type { PayloadDefinition, PayloadEvent } from '../../../payloads/payload.ts';
import { PayloadFailure, type PayloadFailureFacts } from '../../../payloads/payload-failure.ts';
import { parsePayloadOptions } from '../../../runtime/payload-loading/parse-options.ts';

export interface PayloadSession {
  readonly folder: string;
  /** lines of the payload's log */
  readonly logged: string[];
  /** Executes one event; returns the texts of its records, by stream. */
  execute(event: PayloadEvent, signal?: AbortSignal): Promise<Record<string, string[]>>;
  /** The facts of the failure that executing the event ends in; its message with them. */
  fail(event: PayloadEvent, signal?: AbortSignal): Promise<PayloadFailureFacts & { readonly message: string }>;
  close(): Promise<void>;
}

export async function openSession<Options>(
  definition: PayloadDefinition<Options, undefined>,
  texts: Readonly<Record<string, string>>,
): Promise<PayloadSession> {
  const payload = definition as unknown as PayloadDefinition;
  const schema = typeof payload.options === 'function' ? await payload.options() : payload.options;
  const options = await parsePayloadOptions(schema, texts, payload.name);
  const folder = mkdtempSync(join(tmpdir(), 'granule-worker-'));
  const logged: string[] = [];
  const note = (message: string): void => void logged.push(message);
  const log = { debug: note, info: note, warn: note, error: note };
  const worker = { options, shared: undefined, workerIndex: 0, folder, outputBytesMax: OUTPUT_BYTES_MAX_DEFAULT, log };
  await payload.initialize?.(worker);

  const execute: PayloadSession['execute'] = async (event, signal = new AbortController().signal) => {
    const records: Record<string, string[]> = {};
    const output = (stream: string) => ({
      write(value: unknown): void {
        records[stream] ??= [];
        records[stream].push(value instanceof Uint8Array ? Buffer.from(value).toString() : JSON.stringify(value));
      },
      addIntervalOfValidity: () => undefined,
    });
    const random = undefined as never;
    await payload.execute(event, { ...worker, seed: 7_000_000_000_000 + event.position, random, signal, output });
    return records;
  };
  return {
    folder,
    logged,
    execute,
    async fail(event, signal) {
      const written = await execute(event, signal).catch((error: unknown) => {
        if (!(error instanceof PayloadFailure)) throw error;
        return error;
      });
      if (!(written instanceof PayloadFailure)) throw new Error(`it did not fail but wrote ${JSON.stringify(written)}`);
      return { ...written.payloadFailure, message: written.message };
    },
    async close() {
      await payload.finalize?.(worker);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Whether no process of this number runs any more; a zombie, which only waits to be reaped, counts as gone. */
export function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return true;
  }
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
