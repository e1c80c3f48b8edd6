/** For tests: what a payload can do wrong, as JavaScript of the body of `execute`, and what is to become of the event. */
import type { FailureCause } from '../../../core/states.ts';

export interface Misdeed {
  /** uses `context`, `fs`, `child_process` */
  readonly code: string;
  /** why the event fails; null when it does not, since it harms nobody or only its worker */
  readonly cause: FailureCause | null;
  /**
   * Computes until it fails: 0.1 s alone, but most of a second where eight threads do so on two cores. Should its time-out
   * of a second come first, that is the reason, and a true one.
   */
  readonly takesTime?: true;
}

const NOBODY_ELSE: readonly Misdeed[] = [
  { code: `throw new Error('thrown');`, cause: 'payload-error' },
  { code: 'throw null;', cause: 'payload-error' },
  { code: `await Promise.reject(new Error('rejected'));`, cause: 'payload-error' },
  { code: 'const f = () => f() + 1; f();', cause: 'payload-error' },
  { code: 'fs.closeSync(1);', cause: 'payload-error' },
  { code: `child_process.execFileSync('sh', ['-c', 'kill -SEGV $$'], { stdio: 'ignore' });`, cause: 'payload-error' },
  { code: `child_process.execSync('yes | head -c 9000000', { maxBuffer: 100_000 });`, cause: 'payload-error' },
  { code: `context.output('OUT').write(undefined);`, cause: 'output-invalid' },
  { code: `context.output('NONE').write(1);`, cause: 'output-invalid' },
  {
    code: `for (let i = 0; i < 10_000; i += 1) context.output('OUT').write('x'.repeat(100_000));`,
    cause: 'output-too-large',
  },
  { code: `for (let i = 0; i < 1000; i += 1) process.stdout.write('flood '.repeat(100));`, cause: null },
  { code: `fs.writeSync(1, 'flood '.repeat(1000)); fs.writeSync(2, Buffer.from('flood'));`, cause: null },
  { code: `child_process.spawn('sh', ['-c', 'exit 1'], { stdio: 'ignore' });`, cause: null },
  { code: `setTimeout(() => { try { context.output('OUT').write('late'); } catch {} }, 5);`, cause: null },
];

const ITS_WORKER: readonly Misdeed[] = [
  {
    code: `setTimeout(() => { throw new Error('late'); }, 1); await new Promise(() => {});`,
    cause: 'payload-late-error',
  },
  { code: `Promise.reject(new Error('late')); await new Promise(() => {});`, cause: 'payload-late-error' },
  { code: `setTimeout(() => { throw new Error('after all'); }, 20);`, cause: null },
  { code: 'process.exit(3);', cause: 'payload-exit' },
  {
    code: 'const all = []; for (;;) all.push(new Array(10_000).fill(Math.random()));',
    cause: 'out-of-memory',
    takesTime: true,
  },
  { code: 'const all = []; for (;;) all.push(1.5);', cause: 'out-of-memory', takesTime: true },
  { code: 'const all = new Map(); for (let i = 0; ; i += 1) all.set(i, i);', cause: 'out-of-memory', takesTime: true },
  {
    code: `const all = []; for (;;) all.push(new Array(1e6).fill('xxxxxxxxxx').join(''));`,
    cause: 'out-of-memory',
    takesTime: true,
  },
  { code: 'for (;;);', cause: 'timeout' },
  { code: 'await new Promise(() => {});', cause: 'timeout' },
  {
    code: `await new Promise((_, no) => context.signal.addEventListener('abort', () => no(new Error('stopped'))));`,
    cause: 'timeout',
  },
  { code: 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);', cause: 'timeout' },
  { code: `child_process.execSync('sleep 1000; true', { stdio: 'ignore' });`, cause: 'timeout' },
  { code: `child_process.execSync('trap "" TERM; sleep 1000; true', { stdio: 'ignore' });`, cause: 'timeout' },
];

/** Costs an event where workers are processes, and the whole program where they are threads. */
const ITS_PROCESS: readonly Misdeed[] = [
  ...['SIGSEGV', 'SIGKILL', 'SIGABRT', 'SIGBUS'].map(
    (signal): Misdeed => ({
      code: `process.kill(process.pid, '${signal}'); await new Promise(() => {});`,
      cause: 'signal',
    }),
  ),
  {
    code: `child_process.spawn('sh', ['-c', 'trap "" TERM; sleep 1000'], { stdio: 'ignore' }); process.exit(3);`,
    cause: 'payload-exit',
  },
];

export const MISDEEDS: Readonly<Record<'thread' | 'process', readonly Misdeed[]>> = {
  thread: [...NOBODY_ELSE, ...ITS_WORKER],
  process: [...NOBODY_ELSE, ...ITS_WORKER, ...ITS_PROCESS],
};

/** Which of `misdeeds` an event commits, by its number: a part `fraction` of `eventCount` events, at random. */
export function chooseSinners(
  eventCount: number,
  fraction: number,
  misdeeds: readonly Misdeed[],
  random: () => number,
): Map<number, Misdeed> {
  const sinners = new Map<number, Misdeed>();
  for (let n = 1; n <= eventCount; n += 1) {
    const misdeed = misdeeds[Math.floor(random() * misdeeds.length)];
    if (random() < fraction && misdeed !== undefined) sinners.set(n, misdeed);
  }
  return sinners;
}

/** Source of a payload that writes its event's number to OUT, unless it is one of the sinners. */
export function misbehaving(sinners: ReadonlyMap<number, Misdeed>, misdeeds: readonly Misdeed[]): string {
  const bodies = misdeeds.map(({ code }) => `async (context) => { ${code} }`);
  const choices = [...sinners].map(([n, misdeed]) => `${n}: ${misdeeds.indexOf(misdeed)}`);
  return `import fs from 'node:fs';
import child_process from 'node:child_process';
const misdeeds = [\n${bodies.join(',\n')}\n];
const choices = { ${choices.join(', ')} };
export default {
  name: 'misbehaving', outputs: { OUT: { format: 'ndjson' } },
  async execute(event, context) {
    const { n } = event.decode();
    await misdeeds[choices[n]]?.(context);
    context.output('OUT').write({ n });
  },
};
`;
}
