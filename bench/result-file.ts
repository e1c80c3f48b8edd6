/** Results as JSON: of one scenario, and of a set of them run together; written, found and read again. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { GranuleError } from '../core/errors.ts';
import type { Machine } from './machine.ts';
import type { Disturbance } from './noise.ts';
import type { Picture, ResultTable } from './scenario.ts';
import type { Measure } from './statistics.ts';

const RESULT_SCHEMA = 1;

/** One scenario, measured. */
export interface ScenarioRecord {
  readonly scenario: string;
  readonly quick: boolean;
  readonly repeats: number;
  readonly options: Readonly<Record<string, number | string>>;
  /** what to type to measure it again */
  readonly command: string;
  readonly wallMs: number;
  readonly values: Readonly<Record<string, unknown>>;
  readonly measures: readonly Measure[];
  readonly disturbance: Disturbance;
  readonly warnings: readonly string[];
  readonly notes: readonly string[];
  readonly tables: readonly ResultTable[];
  readonly pictures: readonly Picture[];
}

/** A result file. */
export interface BenchRecord {
  readonly schema: typeof RESULT_SCHEMA;
  /** ISO 8601 */
  readonly startedAt: string;
  readonly machine: Machine;
  readonly scenarios: readonly ScenarioRecord[];
}

/** What `--json` prints for one scenario: its values beside what every result states. */
export function scenarioJson(record: BenchRecord, scenario: ScenarioRecord): object {
  const { pictures: _pictures, tables: _tables, values, ...rest } = scenario;
  return { schema: record.schema, startedAt: record.startedAt, machine: record.machine, ...rest, ...values };
}

/** What `--json` prints for all of them. */
export function benchJson(record: BenchRecord): object {
  return {
    schema: record.schema,
    startedAt: record.startedAt,
    machine: record.machine,
    scenarios: Object.fromEntries(
      record.scenarios.map((scenario) => {
        const { pictures: _pictures, tables: _tables, values, scenario: name, ...rest } = scenario;
        return [name, { ...rest, ...values }];
      }),
    ),
  };
}

/** `bench/results/<machine>-<date>.json` below `folder`; seconds are in the date, so that none is overwritten. */
export function defaultResultPath(folder: string, record: BenchRecord): string {
  const host = record.machine.host.replace(/[^A-Za-z0-9.-]+/g, '-') || 'machine';
  const date = record.startedAt.replace(/\.\d+Z$/, 'Z').replace(/:/g, '');
  return join(folder, 'bench', 'results', `${host}-${date}.json`);
}

/** @throws OUTPUT_UNWRITABLE */
export function writeResult(path: string, content: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  } catch (cause) {
    throw new GranuleError(
      'OUTPUT_UNWRITABLE',
      `the result cannot be written to ${path}: ${(cause as Error).message}`,
      {
        cause,
        details: { path },
        remedy: 'name another file with --out',
      },
    );
  }
}

/** @throws USAGE for anything that is not a result file of this schema */
export function readResult(path: string): BenchRecord {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new GranuleError('USAGE', `${path} cannot be read as a result: ${(cause as Error).message}`, { cause });
  }
  if (!isBenchRecord(content)) {
    throw new GranuleError('USAGE', `${path} is not a result of "granule bench" with schema ${RESULT_SCHEMA}`, {
      remedy: 'give files written by granule bench ... --out FILE',
    });
  }
  return content;
}

function isBenchRecord(content: unknown): content is BenchRecord {
  return (
    typeof content === 'object' &&
    content !== null &&
    'schema' in content &&
    content.schema === RESULT_SCHEMA &&
    'scenarios' in content &&
    Array.isArray(content.scenarios)
  );
}
