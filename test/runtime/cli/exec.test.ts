/** `granule exec`: one event of a run, executed again by itself. */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { WebSocket } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventExecution } from '../../../runtime/exec/exec-event.ts';
import { FaultServer } from '../remote/fault-server.ts';
import { RunFolder } from '../whole-run.ts';
import { type Ended, granule } from './program.ts';

/** Fails at 4, in the ways of `how` at 5, draws a random number for all others. */
const PAYLOAD = `
import { definePayload } from 'granule/payload';
interface Event { readonly n: number }
export default definePayload({
  name: 'odd-one',
  outputs: { OUT: { format: 'ndjson' }, RECORD: { format: 'gev' } },
  options: async () => {
    const { z } = await import('zod');
    return z.object({ scale: z.number().default(1), how: z.enum(['well', 'signal', 'loop', 'exit', 'heap']).default('well') });
  },
  prepare: ({ options }) => ({ table: new Float64Array(new SharedArrayBuffer(8)).fill(options.scale) }),
  execute(event, context) {
    const { n } = event.decode() as Event;
    context.log.info('looks at it', { n });
    console.log('prints');
    if (n === 4) throw new Error('four is bad');
    if (n === 5) misbehave(context.options.how);
    const drawn = context.random.uniform() * context.shared.table[0];
    context.output('OUT').write({ n, drawn });
    context.output('RECORD').write({ n, drawn });
  },
});
function misbehave(how: string): void {
  if (how === 'signal') process.kill(process.pid, 'SIGSEGV');
  if (how === 'exit') process.exit(7);
  while (how === 'loop') {}
  for (const kept = []; how === 'heap'; ) kept.push(new Array(100_000).fill({}));
}
`;

let folder: RunFolder;

beforeAll(async () => {
  folder = new RunFolder('', 8);
  writeFileSync(join(folder.path, 'payload.ts'), PAYLOAD);
  const what = ['--input', 'events.ndjson', '--payload', './payload.ts', '--option', 'scale=3', '--seed', '11'];
  const { stdout } = await granule(['run', ...what, '--out', 'out', '--json'], { cwd: folder.path });
  expect(JSON.parse(stdout).events).toMatchObject({ finished: 7, failed: 1 });
});

afterAll(() => folder.remove());

function exec(...args: readonly string[]): Promise<Ended> {
  return granule(['exec', '--out', 'out', ...args], { cwd: folder.path });
}

async function execJson(...args: readonly string[]): Promise<EventExecution> {
  const { stdout } = await exec('--json', ...args);
  return JSON.parse(stdout);
}

function status(): Promise<Ended> {
  return granule(['status', '--out', 'out', '--json'], { cwd: folder.path });
}

describe('granule exec', () => {
  it('makes of an event what the run made of it, and changes nothing of the run', async () => {
    const before = await status();
    const { code, stdout, stderr } = await exec('events.ndjson:3');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^events\.ndjson:3 finished in .* \(payload odd-one, seed 11\)\nstream +records/);
    expect(stdout).toMatch(
      /^OUT +1 +\d+ B +the same +out\/\.granule\/exec\/events\.ndjson\.3\/OUT\.ndjson +[0-9a-f]{64}$/m,
    );
    expect(stdout).toMatch(/^RECORD +1 +\d+ B +the same /m);
    expect(stderr).toBe('info: looks at it {"n":3}\nprints\n');
    expect(readFileSync(join(folder.outPath, '.granule/exec/events.ndjson.3/OUT.ndjson'), 'utf8')).toBe(
      `${JSON.stringify(folder.merged()[2])}\n`,
    );
    expect((await status()).stdout).toBe(before.stdout);
  });

  it('shows why an event fails, where in the source, and how to go on', async () => {
    const { code, stdout } = await exec('events.ndjson:4');
    expect(code).toBe(4);
    expect(stdout).toContain('events.ndjson:4 failed in ');
    expect(stdout).toContain(': payload-error: four is bad (payload odd-one, seed 11)\nError: four is bad\n');
    const line = 1 + PAYLOAD.split('\n').findIndex((text) => text.includes('four is bad'));
    expect(stdout).toContain(`${join(folder.path, 'payload.ts')}:${line}:`);
    expect(stdout).not.toContain('worker-session');
    expect(stdout).toContain('granule exec --out out events.ndjson:4 --inspect');
    expect(await execJson('events.ndjson:4')).toMatchObject({
      schema: 1,
      outcome: 'failed',
      asRecorded: true,
      outputs: [],
      failure: { cause: 'payload-error', message: 'four is bad' },
    });
  });

  it('is what show and the summary of a run point to', async () => {
    const shown = await granule(['show', '--out', 'out', 'events.ndjson:4'], { cwd: folder.path });
    expect(shown.stdout).toContain('granule exec --out out events.ndjson:4\n');
  });

  it.each([
    ['signal', { cause: 'signal', signal: 'SIGSEGV' }],
    ['exit', { cause: 'payload-exit', childExitCode: 7 }],
    ['loop', { cause: 'timeout' }],
  ])(
    'survives an event that ends by %s, and says so',
    async (how, failure) => {
      const execution = await execJson('events.ndjson:5', '--option', `how=${how}`, '--timeout', '1s');
      expect(execution).toMatchObject({ outcome: 'failed', asRecorded: false, failure });
    },
    20_000,
  );

  it('tries a corrected payload with the options and the seed of the run, and writes where it is told to', async () => {
    writeFileSync(join(folder.path, 'corrected.ts'), PAYLOAD.replace("throw new Error('four is bad')", '{}'));
    const execution = await execJson('events.ndjson:4', '--payload', 'corrected.ts', '--to', 'tried');
    expect(execution).toMatchObject({
      outcome: 'finished',
      asRecorded: false,
      outputs: [{ comparedWithRun: 'unknown', path: join(folder.path, 'tried/OUT.ndjson') }, { stream: 'RECORD' }],
    });
    const { drawn } = JSON.parse(readFileSync(join(folder.path, 'tried/OUT.ndjson'), 'utf8'));
    expect(drawn).toBeGreaterThan(0);
    const other = await execJson('events.ndjson:3', '--payload', 'corrected.ts', '--option', 'scale=5');
    expect(other.outputs).toMatchObject([{ comparedWithRun: 'different' }, { comparedWithRun: 'different' }]);
  });

  it('writes files that can be read as merged ones can', async () => {
    const { outputs } = await execJson('events.ndjson:2');
    const path = outputs.find(({ stream }) => stream === 'RECORD')?.path ?? '';
    const run = await granule(['run', path, '--payload', 'digest', '--out', 'read', '--json'], { cwd: folder.path });
    expect(JSON.parse(run.stdout)).toMatchObject({ ending: 'complete', events: { total: 1 } });
  });

  it('takes the code that the run was made with, and says that the source changed', async () => {
    const path = join(folder.path, 'payload.ts');
    writeFileSync(path, PAYLOAD.replace('four is bad', 'still bad'));
    const { stdout, stderr } = await exec('events.ndjson:4');
    expect(stdout).toContain('four is bad');
    expect(stderr).toContain(`${path} changed since (--payload takes another one)`);
    writeFileSync(path, PAYLOAD);
  });

  it('needs the source when the bundle is gone, and refuses another one', async () => {
    const bundles = join(folder.outPath, '.granule/payloads');
    const kept = readdirSync(bundles).map((name) => [name, readFileSync(join(bundles, name))] as const);
    rmSync(bundles, { recursive: true });
    expect(await execJson('events.ndjson:3')).toMatchObject({ asRecorded: true });
    writeFileSync(join(folder.path, 'payload.ts'), PAYLOAD.replace('four', 'five'));
    const { code, stderr } = await exec('events.ndjson:3');
    expect(code).toBe(2);
    expect(stderr).toContain('PAYLOAD_CHANGED');
    writeFileSync(join(folder.path, 'payload.ts'), PAYLOAD);
    mkdirSync(bundles);
    for (const [name, bytes] of kept) writeFileSync(join(bundles, name), bytes);
  });

  it('refuses an input that is not what it was', async () => {
    const text = readFileSync(folder.inputPath);
    writeFileSync(folder.inputPath, text.toString().replace('3', '9'));
    const changed = await exec('events.ndjson:3');
    expect([changed.code, changed.stderr]).toEqual([2, expect.stringContaining('INPUT_CHANGED')]);
    rmSync(folder.inputPath);
    const gone = await exec('events.ndjson:3');
    expect([gone.code, gone.stderr]).toEqual([2, expect.stringContaining('is not where the run found it')]);
    // The same content again, written at another time.
    writeFileSync(folder.inputPath, text);
    expect((await exec('events.ndjson:3')).code).toBe(0);
  });

  it.each([
    [['events.ndjson:99'], 'has no event 99'],
    [['events.ndjson:3', '--timeout', 'soon'], 'expected a time such as 60s, 10x, or off'],
    [['events.ndjson:3', '--log-level', 'wran'], 'did you mean "warn"'],
    [['events.ndjson:3', '--inspect', 'here:there'], 'expected a port, or HOST:PORT'],
    [[], 'EVENT is missing'],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await exec(...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });
});

describe('granule exec --inspect', () => {
  it('waits for a debugger and stops right before execute, one step from the line in the source', async () => {
    const session = new DebuggerSession();
    const { code, stdout } = await granule(['exec', '--out', 'out', 'events.ndjson:3', '--inspect', '127.0.0.1:0'], {
      cwd: folder.path,
      withChild: (child) => child.stderr?.on('data', (text: string) => session.attachTo(text)),
    });
    expect([code, stdout]).toEqual([0, expect.stringContaining('finished')]);
    const execute = 1 + PAYLOAD.split('\n').findIndex((text) => text.includes('event.decode()'));
    expect(session.places).toContainEqual([join(folder.path, 'payload.ts'), execute]);
  }, 30_000);
});

describe('granule exec of other inputs', () => {
  it('gets the bytes of compressed and remote files as the run did', async () => {
    const lines = Array.from({ length: 5 }, (_, index) => `{"n":${index + 1}}\n`).join('');
    const packed = join(folder.path, 'packed.ndjson.gz');
    writeFileSync(packed, gzipSync(lines));
    const server = await FaultServer.start({ '/far.ndjson': Buffer.from(`{"far":1}\n${lines}`) });
    try {
      const out = join(folder.path, 'others');
      await folder.run({ input: [packed, server.url('/far.ndjson').href], payload: 'digest', out, events: '2-' });
      const leftOut = await granule(['exec', '--out', 'others', 'far.ndjson:1'], { cwd: folder.path });
      expect([leftOut.code, leftOut.stderr]).toEqual([2, expect.stringContaining('--events 2-')]);
      for (const event of ['packed.ndjson.gz:4', 'far.ndjson:5']) {
        const { stdout } = await granule(['exec', '--out', 'others', event, '--json'], { cwd: folder.path });
        expect(JSON.parse(stdout)).toMatchObject({ outcome: 'finished', outputs: [{ comparedWithRun: 'same' }] });
      }
    } finally {
      await server.kill();
    }
  });
});

describe('granule exec while a run is on', () => {
  it('executes events that the run has not come to, and those that wait to be merged', async () => {
    const gate = join(folder.path, 'gate');
    const waiting = new RunFolder(
      `import { existsSync } from 'node:fs';
      import { setTimeout as wait } from 'node:timers/promises';
      export default {
        name: 'waiting', outputs: { OUT: { format: 'ndjson' } },
        async execute(event, context) {
          if (event.position > 1) while (!existsSync(${JSON.stringify(gate)})) await wait(10);
          context.output('OUT').write({ seed: context.seed });
        },
      };`,
      6,
    );
    try {
      const handle = waiting.start({ workers: 1 });
      await new Promise<void>((resolve) => handle.events.on('events:finished', () => resolve()));
      const first = await granule(['exec', '--out', 'out', 'events.ndjson:1', '--json'], { cwd: waiting.path });
      expect(JSON.parse(first.stdout)).toMatchObject({ outcome: 'finished' });
      const held = granule(['exec', '--out', 'out', 'events.ndjson:6', '--json', '--timeout', '1s'], {
        cwd: waiting.path,
      });
      expect(JSON.parse((await held).stdout)).toMatchObject({ outcome: 'failed', failure: { cause: 'timeout' } });
      writeFileSync(gate, '');
      expect((await handle.done).events).toMatchObject({ finished: 6, failed: 0 });
      const last = await granule(['exec', '--out', 'out', 'events.ndjson:6', '--json'], { cwd: waiting.path });
      expect(JSON.parse(last.stdout)).toMatchObject({ outputs: [{ comparedWithRun: 'same' }] });
    } finally {
      writeFileSync(gate, '');
      waiting.remove();
    }
  }, 30_000);
});

describe('granule exec of a payload that hangs', () => {
  let hanging: RunFolder;

  beforeAll(async () => {
    hanging = new RunFolder(
      `import { existsSync } from 'node:fs';
      export default {
        name: 'hanging', outputs: { OUT: { format: 'ndjson' } },
        initialize() { if (existsSync('hang-early')) return new Promise(() => {}); },
        execute(event, context) { while (existsSync('hang')); context.output('OUT').write(event.decode()); },
      };`,
      30,
    );
    const limits = ['--timeout', '10x', '--hook-timeout', '500ms'];
    const { code } = await granule(['run', ...hanging.arguments, ...limits], { cwd: hanging.path });
    expect(code).toBe(0);
  });

  afterAll(() => hanging.remove());

  it('takes the time-out of the run, the median of which the event table knows', async () => {
    writeFileSync(join(hanging.path, 'hang'), '');
    const { code, stdout } = await granule(['exec', '--out', 'out', 'events.ndjson:3', '--json'], {
      cwd: hanging.path,
    });
    rmSync(join(hanging.path, 'hang'));
    expect(code).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'failed', failure: { cause: 'timeout' } });
  });

  it('waits for its initialize as long as the run does', async () => {
    writeFileSync(join(hanging.path, 'hang-early'), '');
    const { code, stderr } = await granule(['exec', '--out', 'out', 'events.ndjson:3'], { cwd: hanging.path });
    rmSync(join(hanging.path, 'hang-early'));
    expect(code).toBe(2);
    expect(stderr).toContain('prepare and initialize have not come back after 500 ms');
    expect(stderr).toContain('--hook-timeout');
  });
});

/** A debugger that steps into what is about to run, a few times, and notes where in the sources it is. */
class DebuggerSession {
  readonly places: [file: string, line: number][] = [];
  #socket: WebSocket | undefined;
  readonly #scripts = new Map<string, string>();
  #sent = 0;
  #steps = 0;
  #seen = '';

  attachTo(text: string): void {
    this.#seen += text;
    const url = /ws:\/\/\S+/.exec(this.#seen)?.[0];
    if (url === undefined || this.#socket !== undefined) return;
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onopen = () => {
      for (const method of ['Runtime.enable', 'Debugger.enable', 'Runtime.runIfWaitingForDebugger']) this.#send(method);
    };
    socket.onmessage = ({ data }) => {
      const { method, params } = JSON.parse(String(data));
      if (method === 'Debugger.scriptParsed') this.#scripts.set(params.scriptId, params.url);
      if (method !== 'Debugger.paused') return;
      const [{ location }] = params.callFrames;
      this.#note(this.#scripts.get(location.scriptId) ?? '', location);
      this.#steps += 1;
      this.#send(this.#steps < 6 ? 'Debugger.stepInto' : 'Debugger.resume');
    };
  }

  #note(script: string, { lineNumber, columnNumber }: { lineNumber: number; columnNumber: number }): void {
    if (!script.startsWith('file:')) return;
    const path = fileURLToPath(script);
    const mapPath = join(dirname(path), `${basename(path)}.map`);
    if (!existsSync(mapPath)) {
      this.places.push([path, lineNumber + 1]);
      return;
    }
    const entry = new SourceMap(JSON.parse(readFileSync(mapPath, 'utf8'))).findEntry(lineNumber, columnNumber);
    if ('originalSource' in entry) this.places.push([entry.originalSource, entry.originalLine + 1]);
  }

  #send(method: string): void {
    this.#sent += 1;
    this.#socket?.send(JSON.stringify({ id: this.#sent, method }));
  }
}
