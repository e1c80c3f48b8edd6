/** Workers that are recycled, replaced, timed out by the median of others, or that cannot even begin. */
import { existsSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { openTableReader } from '../../../dispatcher/table-reader.ts';
import type { RunHandle } from '../../../runtime/run/run-handle.ts';
import { echoing, RunFolder } from '../whole-run.ts';

const EVENTS = 60;
/** "Replaced within a second". */
const REPLACEMENT_MS_MAX = 1000;

const folders: RunFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

function folderOf(payload: string): RunFolder {
  const folder = new RunFolder(payload, EVENTS);
  folders.push(folder);
  return folder;
}

function numbersBut(...missing: number[]): unknown[] {
  return Array.from({ length: EVENTS }, (_, index) => ({ n: index + 1 })).filter(({ n }) => !missing.includes(n));
}

/** Why workers were replaced, and how long it took until the next one was ready. */
function replacements(handle: RunHandle): { readonly causes: string[]; readonly waitsMs: number[] } {
  const causes: string[] = [];
  const waitsMs: number[] = [];
  const replacedAtMs = new Map<number, number>();
  handle.events.on('worker:replaced', ({ workerIndex, cause }) => {
    causes.push(cause);
    replacedAtMs.set(workerIndex, performance.now());
  });
  handle.events.on('worker:started', ({ workerIndex }) => {
    const sinceMs = replacedAtMs.get(workerIndex);
    if (sinceMs !== undefined) waitsMs.push(performance.now() - sinceMs);
  });
  return { causes, waitsMs };
}

/** The last log lines that are kept with a failure. */
async function logTail(folder: RunFolder, position: number): Promise<readonly string[] | undefined> {
  const table = openTableReader(`${folder.outPath}/.granule/store`);
  try {
    return table.show(1, 0, position).failure?.logTail;
  } finally {
    await table.close();
  }
}

/** Failures and losses in the event table, by position, where there are any. */
async function charges(folder: RunFolder): Promise<Record<number, readonly [failures: number, losses: number]>> {
  const table = openTableReader(`${folder.outPath}/.granule/store`);
  try {
    const { ranges } = table.events({ taskID: 1, limit: 1000 });
    const charged = ranges.filter(({ failures, losses }) => failures + losses > 0);
    return Object.fromEntries(charged.map(({ startEvent, failures, losses }) => [startEvent, [failures, losses]]));
  } finally {
    await table.close();
  }
}

/** Writes 8 kB for each event. On a marked event, and once only, the file that it writes them to is on a full disk. */
function fillingTheDisk(folderPath: string): string {
  return echoing(`
    const { existsSync, symlinkSync, writeFileSync } = await import('node:fs');
    if (n === 20 && !existsSync('${folderPath}/was-full')) {
      writeFileSync('${folderPath}/was-full', '');
      symlinkSync('/dev/full', context.folder + '/OUT.worker-' + context.workerIndex + '-1.part');
    }
    context.output('OUT').write({ n, pad: 'x'.repeat(8000) });
    return;`);
}

describe.each(['thread', 'process'] as const)('a worker in a %s', (isolation) => {
  it('that is ended together with all others is replaced like them', async () => {
    const folder = folderOf(echoing('if (n <= 4) for (;;);'));
    const handle = folder.start({ isolation, workers: 4, timeout: '300ms', failuresMax: 1, speculate: false });
    const { causes } = replacements(handle);
    expect(await handle.done).toMatchObject({ ending: 'failed-events', events: { failed: 4, finished: EVENTS - 4 } });
    expect(causes).toEqual(['timeout', 'timeout', 'timeout', 'timeout']);
  });

  it.skipIf(!existsSync('/dev/full'))('on a full disk ends the run, and no event is charged with it', async () => {
    const folder = folderOf('');
    folder.setPayload(fillingTheDisk(folder.path));
    await expect(folder.run({ isolation })).rejects.toMatchObject({
      code: 'OUTPUT_FAILED',
      message: expect.stringContaining('ENOSPC'),
    });
    expect(await charges(folder)).toEqual({});
    expect(await folder.run({ isolation })).toMatchObject({ ending: 'complete' });
    expect(folder.merged()).toEqual(numbersBut().map((record) => ({ ...(record as object), pad: 'x'.repeat(8000) })));
  });

  it.each([
    ['ended by the payload', 'process.exit(3)', 'payload-exit'],
    ['in an endless loop', 'for (;;);', 'timeout'],
    [
      'broken by a late error',
      'setTimeout(() => { throw new Error("late"); }, 1); await new Promise(() => {});',
      'payload-late-error',
    ],
  ])('%s is replaced within a second, and what it only held is not charged', async (_, body, cause) => {
    const folder = folderOf(echoing(`if (n % 20 === 5) { context.log.warn('near ' + n); ${body} }`));
    const handle = folder.start({ isolation, timeout: '300ms', failuresMax: 2 });
    const { causes, waitsMs } = replacements(handle);
    await handle.done;
    expect(causes.length).toBeGreaterThanOrEqual(5);
    expect(new Set(causes)).toEqual(new Set([cause]));
    expect(Math.min(...waitsMs)).toBeLessThan(REPLACEMENT_MS_MAX);
    expect(folder.failed).toEqual([5, 25, 45].map((position) => [position, cause]));
    expect(folder.merged()).toEqual(numbersBut(5, 25, 45));
    expect(await charges(folder)).toEqual({ 5: [2, 0], 25: [2, 0], 45: [2, 0] });
    // Of its last attempt, and of no other event; what became of it may follow.
    const near = (await logTail(folder, 25))?.filter((line) => line.startsWith('warn: '));
    expect(near).toEqual(['warn: near 25']);
  });

  it('kept busy by what its payload has left behind is ended, which costs no event', async () => {
    const folder = folderOf(echoing('if (n === 30) setTimeout(() => { for (;;); }, 1);'));
    const handle = folder.start({ isolation, timeout: '300ms' });
    expect(await handle.done).toMatchObject({ ending: 'complete', events: { finished: EVENTS, retried: 0 } });
    expect(folder.merged()).toEqual(numbersBut());
  });

  it('is recycled after so many events, having finalized its payload', async () => {
    const folder = folderOf(`import { appendFileSync } from 'node:fs';
      ${echoing('').replace('async execute', "finalize({ folder }) { appendFileSync(folder + '/finalized', '.'); }, async execute")}`);
    const handle = folder.start({ isolation, recycleAfterEvents: 10 });
    const { causes } = replacements(handle);
    expect(await handle.done).toMatchObject({ ending: 'complete', events: { retried: 0 } });
    expect(causes.length).toBeGreaterThanOrEqual(2);
    expect(new Set(causes)).toEqual(new Set(['recycled']));
    expect(folder.leftIn('workers')).toContain('finalized');
    expect(folder.merged()).toEqual(numbersBut());
  });

  it('is recycled when its memory exceeds the limit', async () => {
    const folder = folderOf(`const kept = []; ${echoing('kept.push(Buffer.alloc(10_000_000, 1));')}`);
    const handle = folder.start({ isolation, recycleAboveMB: 100 });
    const { causes } = replacements(handle);
    expect(await handle.done).toMatchObject({ ending: 'complete', events: { retried: 0 } });
    expect(causes.length).toBeGreaterThanOrEqual(2);
    expect(new Set(causes)).toEqual(new Set(['recycled']));
    expect(folder.merged()).toEqual(numbersBut());
  });

  it.each([
    ['throws', `throw new Error('no conditions');`, 'no conditions'],
    ['ends its worker', 'process.exit(3);', 'exit'],
  ])('that cannot begin, since initialize %s, fails the run after three tries', async (_, body, message) => {
    const folder = folderOf(echoing('').replace('async execute', `initialize() { ${body} }, async execute`));
    await expect(folder.run({ isolation, workers: 1 })).rejects.toMatchObject({
      code: 'PAYLOAD_INIT_FAILED',
      message: expect.stringMatching(new RegExp(`3 times in a row: .*${message}`)),
    });
    expect(await charges(folder)).toEqual({});
  });

  const NEVER: [string, string][] = [
    ['waits for a promise that never settles', 'return new Promise(() => {});'],
    ['loops for ever', 'for (;;);'],
  ];

  it.each(NEVER)('whose initialize %s is given up in time, and fails the run after three tries', async (_, body) => {
    const folder = folderOf(echoing('').replace('async execute', `initialize() { ${body} }, async execute`));
    await expect(folder.run({ isolation, hookTimeout: '500ms' })).rejects.toMatchObject({
      code: 'PAYLOAD_INIT_FAILED',
      message: 'payload echoing failed to initialize 3 times in a row: initialize has not come back after 500 ms',
      remedy: expect.stringContaining('--hook-timeout'),
    });
    expect(await charges(folder)).toEqual({});
  });

  it.each(NEVER)('whose finalize %s holds up neither its replacement nor the end of the run', async (_, body) => {
    const folder = folderOf(echoing('').replace('async execute', `finalize() { ${body} }, async execute`));
    const handle = folder.start({ isolation, hookTimeout: '300ms', recycleAfterEvents: 40 });
    const { causes } = replacements(handle);
    const notFinalized: string[] = [];
    handle.events.on('worker:not-finalized', ({ message }) => notFinalized.push(message));
    expect(await handle.done).toMatchObject({ ending: 'complete', events: { finished: EVENTS, retried: 0 } });
    expect(new Set(notFinalized)).toEqual(new Set(['finalize has not come back after 300 ms']));
    expect(notFinalized.length).toBeGreaterThanOrEqual(causes.length);
    expect(folder.merged()).toEqual(numbersBut());
  });

  it('whose finalize throws is said to be', async () => {
    const body = `finalize() { throw new Error('no room'); }, async execute`;
    const folder = folderOf(echoing('').replace('async execute', body));
    const handle = folder.start({ isolation, workers: 1 });
    const notFinalized: string[] = [];
    handle.events.on('worker:not-finalized', ({ message }) => notFinalized.push(message));
    expect(await handle.done).toMatchObject({ ending: 'complete' });
    expect(notFinalized).toEqual(['no room']);
  });

  it('whose payload removes what everything rests on goes on', async () => {
    const folder = folderOf(echoing('if (n === 5) { delete globalThis.process; globalThis.setTimeout = undefined; }'));
    expect(await folder.run({ isolation })).toMatchObject({ ending: 'complete' });
    expect(folder.merged()).toEqual(numbersBut());
  });

  it('whose payload breaks what everything rests on is replaced', async () => {
    const body = `if (n === 5) Promise.prototype.then = () => { throw new Error('hijacked'); };`;
    const folder = folderOf(echoing(body));
    const summary = await folder.run({ isolation, timeout: '2s', failuresMax: 2 });
    // Others of its batch may fail with it, each time.
    expect(summary).toMatchObject({ ending: 'failed-events', events: { left: 0 } });
    expect(folder.merged().length).toBeGreaterThan(EVENTS / 2);
  });

  it('that hangs in a hook for a new file or range fails the event that comes with it', async () => {
    const folder = folderOf(
      echoing('').replace(
        'async execute',
        `nextEventRange(eventRangeID) { if (/-7-\\d+$/.test(eventRangeID)) for (;;); }, async execute`,
      ),
    );
    await folder.run({ isolation, timeout: '300ms', failuresMax: 1 });
    expect(folder.failed).toEqual([[7, 'timeout']]);
    expect(folder.merged()).toEqual(numbersBut(7));
  });
});

describe('a prepare that never comes back', () => {
  it.each([
    ['waits for a promise that never settles', 'return new Promise(() => {});'],
    ['loops for ever', 'for (;;);'],
  ])('since it %s ends the run in time', async (_, body) => {
    const folder = folderOf(echoing('').replace('async execute', `prepare() { ${body} }, async execute`));
    await expect(folder.run({ hookTimeout: '500ms' })).rejects.toMatchObject({
      code: 'PAYLOAD_INIT_FAILED',
      message: expect.stringContaining('prepare() has not come back after 500 ms'),
      remedy: expect.stringContaining('--hook-timeout'),
    });
  });
});

describe('a thread that reaches its heap limit', () => {
  it.each([
    ['since its payload keeps more with each event', 'for (let i = 0; i < 20_000; i += 1) kept.push({ i });'],
    // What a timer does counts for no event: the thread waits for tokens, or is about to.
    [
      'while it waits for tokens',
      `if (n === 1) setTimeout(() => { for (;;) kept.push({}); }, 0);
       else await new Promise((resolve) => setTimeout(resolve, 10));`,
    ],
  ])('%s takes nobody along', async (_, body) => {
    const folder = folderOf(`const kept = []; ${echoing(body)}`);
    const handle = folder.start({ heapMaxMB: 16, failuresMax: 20 });
    const { causes } = replacements(handle);
    expect(await handle.done).toMatchObject({ ending: 'complete' });
    expect(causes.length).toBeGreaterThanOrEqual(1);
    expect(new Set(causes)).toEqual(new Set(['out-of-memory']));
    expect(folder.merged()).toEqual(numbersBut());
  });
});

describe('a time-out that is a multiple of the median', () => {
  it('is in force once twenty events have been measured', async () => {
    const folder = folderOf(
      echoing(`if (n === 1) await new Promise((resolve) => setTimeout(resolve, 1000));
        if (n === 50) for (;;);
        await new Promise((resolve) => setTimeout(resolve, 20));`),
    );
    await folder.run({ timeout: '10x', failuresMax: 1, workers: 1 });
    expect(folder.failed).toEqual([[50, 'timeout']]);
    const [failed] = folder.manifest.failedEvents;
    const timeoutMs = Number(/time-out of (\d+) ms/.exec(failed?.message ?? '')?.[1]);
    expect(timeoutMs).toBeGreaterThanOrEqual(200);
    expect(folder.merged()).toEqual(numbersBut(50));
  });
});

describe('a payload that is simply broken', () => {
  const EARLY = { ending: 'halted', exitCode: 4 };

  it('stops the run when the first executions all fail, as many as the rule says', async () => {
    // Slower than failures are reported.
    const wait = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3);';
    const folder = folderOf(echoing(`${wait} throw new Error('broken');`));
    const summary = await folder.run({ failuresMax: 10 });
    expect(summary).toMatchObject({ ...EARLY, reason: expect.stringMatching(/^the first \d+ executions all failed/) });
    expect(summary.events.left).toBe(EVENTS);
    const sooner = await folder.run({ failuresMax: 10, halt: 'first=5' });
    expect(sooner).toMatchObject(EARLY);
    expect(Number(/first (\d+)/.exec(sooner.reason ?? '')?.[1])).toBeLessThan(50);
  });

  it('does not stop the run when one execution succeeds', async () => {
    const folder = folderOf(echoing(`if (n !== 1) throw new Error('broken');`));
    const summary = await folder.run({ failuresMax: 2, workers: 1 });
    expect(summary).toMatchObject({ ending: 'failed-events', events: { finished: 1, failed: EVENTS - 1 } });
  });

  it.each([
    ['fail=3', /^\d+ events failed for good/],
    ['fail=5%', /^\d+ of \d+ events failed for good/],
  ])('stops the run by %s', async (halt, reason) => {
    const folder = folderOf(
      echoing(`if (n % 3 === 0) throw new Error('broken'); await new Promise((resolve) => setTimeout(resolve, 20));`),
    );
    const summary = await folder.run({ failuresMax: 1, halt });
    expect(summary).toMatchObject({ ...EARLY, reason: expect.stringMatching(reason) });
    expect(summary.events.left).toBeGreaterThan(0);
    expect(summary.events.failed).toBeGreaterThanOrEqual(3);
    const rest = await folder.run({ failuresMax: 1, halt: 'off' });
    expect(rest).toMatchObject({ ending: 'failed-events', events: { failed: EVENTS / 3, left: 0 } });
  });
});
