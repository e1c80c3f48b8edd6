/**
 * What a micro-benchmark is: a file `*.bench.ts` in this folder exports a `suite`. `npm run bench` runs them with
 * tinybench; a test runs each once or twice.
 */

export interface MicroTask {
  readonly name: string;
  /** things done by one call of `run`: rates are given per thing */
  readonly count: number;
  run(): void | Promise<void>;
}

export interface OpenSuite {
  readonly tasks: readonly MicroTask[];
  close(): Promise<void>;
}

export interface MicroSuite {
  readonly name: string;
  open(): Promise<OpenSuite>;
}

/** A suite that holds nothing open. */
export function plainSuite(name: string, tasks: () => readonly MicroTask[]): MicroSuite {
  return { name, open: async () => ({ tasks: tasks(), close: async () => undefined }) };
}
