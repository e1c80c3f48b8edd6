import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { RangeReport } from '../../../core/messages.ts';
import { type FlowOptions, type FlowResult, runFlow } from '../worker-flow.ts';

const results: FlowResult[] = [];
afterEach(() => {
  for (const result of results.splice(0)) result.cleanUp();
});

async function flow(options: FlowOptions): Promise<FlowResult> {
  const result = await runFlow(options);
  results.push(result);
  return result;
}

const ECHO = `export default {
  name: 'echo', outputs: { OUT: { format: 'ndjson' } },
  execute(event, context) { context.output('OUT').write({ position: event.position, n: event.decode().n, seed: context.seed }); },
};`;

function outputsOf(report: RangeReport | undefined): string[] {
  return report?.kind === 'finished' ? report.outputs.map((output) => output.file) : [];
}

function failed(result: FlowResult): [number, string][] {
  return [...result.reports.values()]
    .filter((report) => report.kind === 'failed')
    .map((report): [number, string] => [report.rangeIndex, report.failure.cause])
    .sort((a, b) => a[0] - b[0]);
}

/** Misbehaves on position 5 only. */
function misbehaving(body: string): string {
  return `export default {
    name: 'bad', outputs: { OUT: { format: 'ndjson' } },
    async execute(event, context) {
      if (event.position === 5) { ${body} }
      context.output('OUT').write({ position: event.position });
    },
  };`;
}

describe('a worker session', () => {
  it('writes one complete file per event at the aggregation point and reports it', async () => {
    const result = await flow({ payload: ECHO, eventCount: 500 });
    expect(result.reports.size).toBe(500);
    const report = result.reports.get(41);
    expect(outputsOf(report)).toEqual(['0/OUT.1-1-1-42-1']);
    const text = readFileSync(join(result.aggregationFolder, '0/OUT.1-1-1-42-1'), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ position: 42, n: 42 });
    expect(report).toMatchObject({ outputs: [{ lengthBytes: text.length, offsetBytes: 0, recordCount: 1 }] });
    expect(readdirSync(join(result.folder, 'workers/worker_0')).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('gives an event the same seed whoever executes it', async () => {
    const seeds = async (workerCount: number): Promise<number[]> => {
      const result = await flow({ payload: ECHO, eventCount: 20, workerCount });
      return [...result.reports.keys()]
        .sort((a, b) => a - b)
        .map((index) => {
          const path = join(result.aggregationFolder, outputsOf(result.reports.get(index))[0] ?? '');
          return JSON.parse(readFileSync(path, 'utf8')).seed;
        });
    };
    expect(await seeds(1)).toEqual(await seeds(3));
  });

  it('reports ranges of several events as one, and keeps their events apart', async () => {
    const result = await flow({ payload: ECHO, eventCount: 10, perRange: 4, sequence: { at: 'NextEventRange' } });
    expect(result.reports.size).toBe(3);
    const path = join(result.aggregationFolder, outputsOf(result.reports.get(2))[0] ?? '');
    expect(
      readFileSync(path, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).n),
    ).toEqual([9, 10]);
  });

  it('puts several ranges into one file when the rule says so, and closes it when the queue is empty', async () => {
    const result = await flow({ payload: ECHO, eventCount: 10, workerCount: 1, sequence: { at: 'events', count: 4 } });
    expect(result.reports.size).toBe(10);
    const files = new Set([...result.reports.values()].flatMap(outputsOf));
    expect(files.size).toBe(3);
    const report = result.reports.get(1);
    if (report?.kind !== 'finished') throw new Error('range 1 finished');
    const [slice] = report.outputs;
    const bytes = readFileSync(join(result.aggregationFolder, slice?.file ?? ''));
    const start = slice?.offsetBytes ?? 0;
    expect(JSON.parse(bytes.subarray(start, start + (slice?.lengthBytes ?? 0)).toString()).n).toBe(2);
    expect(slice?.headerBytes).toBe(0);
  });

  it('finishes an event without output with no file', async () => {
    const payload = `export default { name: 'none', outputs: { OUT: { format: 'ndjson' } }, execute() {} };`;
    const result = await flow({ payload, eventCount: 5 });
    expect([...result.reports.values()].every((report) => outputsOf(report).length === 0)).toBe(true);
    expect(existsSync(join(result.aggregationFolder, '0'))).toBe(false);
  });
});

describe.each(['thread', 'process'] as const)(
  'a payload that misbehaves in a %s fails its own event only',
  (isolation) => {
    const cases: readonly [string, string, string][] = [
      ['throws', 'throw new Error("no")', 'payload-error'],
      ['throws a string', 'throw "no"', 'payload-error'],
      ['rejects', 'await Promise.reject(new Error("no"))', 'payload-error'],
      [
        'throws from a timer while it waits',
        'setTimeout(() => { throw new Error("late") }, 1); await new Promise(() => {})',
        'payload-late-error',
      ],
      [
        'leaves a rejected promise behind while it waits',
        'Promise.reject(new Error("late")); await new Promise(() => {})',
        'payload-late-error',
      ],
      ['ends its worker', 'process.exit(3)', 'payload-exit'],
      ['recurses without bound', 'const f = () => f() + 1; f()', 'payload-error'],
      ['writes what its format cannot hold', 'context.output("OUT").write(undefined)', 'output-invalid'],
      ['writes to a stream it does not declare', 'context.output("NONE").write(1)', 'output-invalid'],
      [
        'adds validity to a format without room for it',
        'context.output("OUT").addIntervalOfValidity("field", 1, 2, "on")',
        'output-invalid',
      ],
      ['writes too much', 'context.output("OUT").write("x".repeat(2000000))', 'output-too-large'],
      ['closes standard output', 'const fs = await import("node:fs"); fs.closeSync(1)', 'payload-error'],
    ];
    it.each(cases)('%s', async (_, body, cause) => {
      const result = await flow({ payload: misbehaving(body), eventCount: 40, isolation });
      expect(failed(result)).toEqual([[4, cause]]);
      expect(result.reports.size).toBe(40);
    });

    it('exhausts its heap', async () => {
      const body = 'const all = []; for (;;) all.push(new Array(10000).fill(Math.random()))';
      const result = await flow({ payload: misbehaving(body), eventCount: 40, heapMaxMB: 64, isolation });
      expect(failed(result)).toEqual([[4, 'out-of-memory']]);
    });

    it.each([
      ['loops for ever', 'for (;;);'],
      ['never settles', 'await new Promise(() => {})'],
      [
        'honours the signal',
        'await new Promise((_, no) => context.signal.addEventListener("abort", () => no("stop")))',
      ],
    ])('%s', async (_, body) => {
      const result = await flow({
        payload: misbehaving(body),
        eventCount: 40,
        isolation,
        timeout: { kind: 'fixed', timeoutMs: 300 },
      });
      expect(failed(result)).toEqual([[4, 'timeout']]);
      expect(result.reports.size).toBe(40);
    });

    it('writes after it has returned', async () => {
      const payload = `export default {
      name: 'late', outputs: { OUT: { format: 'ndjson' } },
      execute(event, context) {
        const output = context.output('OUT');
        output.write({ position: event.position });
        if (event.position === 5) queueMicrotask(() => { try { output.write({ late: true }); } catch {} });
      },
    };`;
      const result = await flow({ payload, eventCount: 40, isolation });
      expect(failed(result)).toEqual([]);
      const all = [...result.reports.values()]
        .flatMap(outputsOf)
        .map((file) => readFileSync(join(result.aggregationFolder, file), 'utf8'));
      expect(all.some((text) => text.includes('late'))).toBe(false);
    });

    it('breaks its worker long after it has returned: the event in execution then is not charged', async () => {
      const payload = `export default {
        name: 'later', outputs: { OUT: { format: 'ndjson' } },
        async execute(event, context) {
          if (event.position === 5) setTimeout(() => { throw new Error('later'); }, 20);
          if (event.position === 6) await new Promise((resolve) => setTimeout(resolve, 60));
          context.output('OUT').write({ position: event.position });
        },
      };`;
      const result = await flow({ payload, eventCount: 40, workerCount: 1, isolation });
      expect(failed(result)).toEqual([]);
      expect(result.reports.size).toBe(40);
    });

    it('breaks its worker later, but in its own range: the range fails at the event that began it', async () => {
      const payload = `export default {
        name: 'later', outputs: { OUT: { format: 'ndjson' } },
        async execute(event, context) {
          if (event.position === 5) setTimeout(() => { throw new Error('later'); }, 20);
          if (event.position === 7) await new Promise(() => {});
        },
      };`;
      const result = await flow({ payload, eventCount: 40, perRange: 4, workerCount: 1, isolation });
      expect(failed(result)).toEqual([[1, 'payload-late-error']]);
      expect(result.reports.get(1)).toMatchObject({ failure: { position: 5 } });
    });

    it('breaks its worker while that waits for tokens: the run ends all the same', async () => {
      const payload = `export default {
        name: 'later', outputs: { OUT: { format: 'ndjson' } },
        async execute(event) {
          if (event.position === 1) setTimeout(() => { throw new Error('later'); }, 20);
          if (event.position === 2) await new Promise((resolve) => setTimeout(resolve, 100));
        },
      };`;
      const result = await flow({ payload, eventCount: 2, workerCount: 2, isolation });
      expect(failed(result)).toEqual([]);
      expect(result.deaths).toEqual([]);
    });

    it.each([
      ['throws', `throw new Error('no conditions');`],
      [
        'throws from a timer',
        `setTimeout(() => { throw new Error('no conditions'); }, 1); return new Promise(() => {});`,
      ],
    ])('cannot even begin, since it %s: the run is told after three tries', async (_, body) => {
      const payload = `export default { name: 'x', outputs: {}, initialize() { ${body} }, execute() {} };`;
      await expect(flow({ payload, eventCount: 5, isolation })).rejects.toMatchObject({
        code: 'PAYLOAD_INIT_FAILED',
        message: expect.stringContaining('no conditions'),
      });
    });
  },
);
