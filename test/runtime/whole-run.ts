/** For tests: whole runs, from options to the summary, of a payload given as source text on a small NDJSON file. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { startRun } from '../../runtime/node.ts';
import type { RunOptions } from '../../runtime/options/option-schema.ts';
import { resolveLibraryOptions } from '../../runtime/options/options.ts';
import type { Manifest } from '../../runtime/run/manifest.ts';
import type { RunHandle } from '../../runtime/run/run-handle.ts';
import type { RunSummary } from '../../runtime/run/run-summary.ts';

/** A folder with `events.ndjson` (`{"n":1}` and so on), `payload.mjs`, and room for `out`. */
export class RunFolder {
  readonly path: string;
  readonly inputPath: string;
  readonly payloadPath: string;
  readonly outPath: string;

  /** @param payload source of the module: plain JavaScript, `export default { … }` */
  constructor(payload: string, eventCount: number) {
    this.path = mkdtempSync(join(tmpdir(), 'granule-run-'));
    this.inputPath = join(this.path, 'events.ndjson');
    this.payloadPath = join(this.path, 'payload.mjs');
    this.outPath = join(this.path, 'out');
    writeFileSync(this.inputPath, Array.from({ length: eventCount }, (_, index) => `{"n":${index + 1}}\n`).join(''));
    this.setPayload(payload);
  }

  setPayload(payload: string): void {
    writeFileSync(this.payloadPath, payload);
  }

  start(options: Partial<RunOptions> = {}): RunHandle {
    const resolved = resolveLibraryOptions(
      { input: [this.inputPath], payload: this.payloadPath, out: this.outPath, workers: 2, ...options },
      this.path,
    );
    return startRun(resolved, {
      currentFolder: this.path,
      stdin: Readable.from([]),
      environment: {},
      command: ['granule', 'run'],
      startedAtMs: Date.now(),
    });
  }

  /** What `granule run` is given to run this. */
  get arguments(): readonly string[] {
    return ['--input', this.inputPath, '--payload', this.payloadPath, '--out', this.outPath];
  }

  /** Runs to the end. */
  run(options: Partial<RunOptions> = {}): Promise<RunSummary> {
    return this.start(options).done;
  }

  get manifest(): Manifest {
    return JSON.parse(readFileSync(join(this.outPath, 'manifest.json'), 'utf8'));
  }

  /** Position and cause of the events that failed for good. */
  get failed(): [number, string][] {
    return this.manifest.failedEvents.map(({ position, cause }) => [position, cause]);
  }

  /** Values of one stream's merged file, in order. */
  merged(stream = 'OUT'): unknown[] {
    const name = readdirSync(this.outPath).find((file) => file.includes(stream) && file.endsWith('.ndjson'));
    if (name === undefined) return [];
    return readFileSync(join(this.outPath, name), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }

  /** Files left below `.granule/<folder>`, by name. */
  leftIn(folder: string): string[] {
    const path = join(this.outPath, '.granule', folder);
    if (!existsSync(path)) return [];
    return readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A payload that writes its position to OUT, unless `body` makes something else of it. */
export function echoing(body: string): string {
  return `export default {
  name: 'echoing', outputs: { OUT: { format: 'ndjson' } },
  async execute(event, context) {
    const { n } = event.decode();
    ${body}
    context.output('OUT').write({ n });
  },
};`;
}
