/** Workers whose payload uses more of the JavaScript heap than it may, in all the ways in which V8 would end a process. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { HEAP_MB_DEFAULT } from '../../../core/limits.ts';
import { echoing, RunFolder } from '../whole-run.ts';
import { type FlowResult, runFlow } from '../worker-flow.ts';

const EVENTS = 20;
const HEAP_MAX_MB = 64;

const leftovers: (() => void)[] = [];
afterEach(() => {
  for (const remove of leftovers.splice(0)) remove();
});

/** Event 5 runs `body`; the others write. */
async function flow(body: string, heapMaxMB: number, isolation: 'thread' | 'process'): Promise<FlowResult> {
  const payload = `export default {
    name: 'greedy', outputs: { OUT: { format: 'ndjson' } },
    async execute(event, context) {
      if (event.position === 5) { ${body} }
      context.output('OUT').write({ position: event.position });
    },
  };`;
  const result = await runFlow({ payload, eventCount: EVENTS, heapMaxMB, isolation });
  leftovers.push(() => result.cleanUp());
  return result;
}

function failures({ reports }: FlowResult): unknown[] {
  return [...reports.values()].flatMap((report) =>
    report.kind === 'failed' ? [[report.rangeIndex, report.failure.cause, report.failure.message]] : [],
  );
}

const FAILED = [4, 'out-of-memory', expect.stringContaining('--heap-max')];

const GREED: readonly [string, string][] = [
  ['many small objects', 'const all = []; for (;;) all.push({ n: all.length });'],
  ['an array of numbers that grows for ever', 'const all = []; for (;;) all.push(1.5);'],
  ['a map that grows for ever', 'const all = new Map(); for (let i = 0; ; i += 1) all.set(i, i);'],
  ['one huge array', 'const one = new Array(2 ** 25).fill(0); for (;;) one[0] += 1;'],
  ['huge arrays one after the other', 'const all = []; for (;;) all.push(new Array(2 ** 25).fill(0));'],
  ['strings, each twice as long', `let s = 'ab'; const all = []; for (;;) { s += s; all.push(JSON.stringify(s)); }`],
  ['long strings', `const all = []; for (;;) all.push(new Array(1e7).fill('xxxxxxxxxx').join(''));`],
  ['the spread of a huge array', 'const all = []; for (;;) all.push([...Array(2e7).keys()]);'],
  ['huge integers', 'const all = []; for (;;) all.push(1n << (2n ** 29n));'],
  [
    'arrays of an event that waits in between',
    'const all = []; for (;;) { await null; all.push(new Array(1e6).fill(1)); }',
  ],
];

describe('an event that fills the heap of its thread', () => {
  it.each(GREED)('with %s fails alone', async (_, body) => {
    const result = await flow(body, HEAP_MAX_MB, 'thread');
    expect(failures(result)).toEqual([FAILED]);
    expect(result.reports.size).toBe(EVENTS);
    expect(result.deaths).toEqual(['out-of-memory']);
  });

  it('fails alone without --heap-max, too', async () => {
    const result = await flow('const all = []; for (;;) all.push(1.5);', HEAP_MB_DEFAULT, 'thread');
    expect(failures(result)).toEqual([FAILED]);
    expect(result.reports.size).toBe(EVENTS);
  });

  it.each([
    ['of large arrays', 'for (let i = 0; i < 200; i += 1) new Array(1e6).fill(Math.random());'],
    ['of small objects', 'for (let i = 0; i < 30; i += 1) { const a = []; while (a.length < 2e5) a.push({ i }); }'],
    ['of long strings', `for (let i = 0; i < 100; i += 1) new Array(1e6).fill('xxxxxxxxxx').join('').at(i);`],
  ])('with garbage %s only does not fail', async (_, body) => {
    const result = await flow(body, HEAP_MAX_MB, 'thread');
    expect(failures(result)).toEqual([]);
    expect(result.deaths).toEqual([]);
  });
});

describe('an event that fills the heap of its process', () => {
  it.each(GREED.slice(0, 3))('with %s fails alone', async (_, body) => {
    const result = await flow(body, HEAP_MAX_MB, 'process');
    expect(failures(result)).toEqual([FAILED]);
    expect(result.reports.size).toBe(EVENTS);
  });
});

describe('a worker whose payload fills the heap', () => {
  it('while there is nothing to do is replaced, at the cost of no event', async () => {
    const body = `if (n === 1) setTimeout(() => { const all = new Map(); for (let i = 0; ; i += 1) all.set(i, i); }, 20);
      else while (!existsSync(new URL('./replaced', import.meta.url)))
        await new Promise((resolve) => setTimeout(resolve, 10));`;
    const folder = new RunFolder(`import { existsSync } from 'node:fs'; ${echoing(body)}`, 2);
    leftovers.push(() => folder.remove());
    const handle = folder.start({ heapMaxMB: HEAP_MAX_MB });
    const causes: string[] = [];
    handle.events.on('worker:replaced', ({ cause }) => {
      causes.push(cause);
      writeFileSync(join(folder.path, 'replaced'), '');
    });
    expect(await handle.done).toMatchObject({ ending: 'complete', events: { finished: 2 } });
    expect(causes).toEqual(['out-of-memory']);
  });

  it('when it initializes ends the run with the remedy', async () => {
    const folder = new RunFolder(
      echoing('').replace('async execute', 'initialize() { const all = []; for (;;) all.push(1.5); }, async execute'),
      2,
    );
    leftovers.push(() => folder.remove());
    await expect(folder.run({ heapMaxMB: HEAP_MAX_MB })).rejects.toMatchObject({
      code: 'PAYLOAD_INIT_FAILED',
      message: expect.stringContaining('--heap-max'),
    });
  });
});
