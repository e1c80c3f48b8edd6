/** The payload `coprocess`, with a program that misbehaves on demand and with the Python example. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { COPROCESS_LOG_LINES_PER_EVENT } from '../../../core/limits.ts';
import coprocess from '../../../payloads/builtin/coprocess.ts';
import { isGone, openSession, type PayloadSession } from '../children/payload-session.ts';
import { payloadEvent } from '../run-payload.ts';

const script = fileURLToPath(new URL('../children/misbehaving-coprocess.mjs', import.meta.url));
const cmd = (mode = ''): string => `exec '${process.execPath}' '${script}' ${mode}`;

let session: PayloadSession;
const open = async (options: Record<string, string> = {}): Promise<void> => {
  session = await openSession(coprocess, { cmd: cmd(), ...options });
};
afterEach(() => session.close());

const event = (text: string, position = 1) => payloadEvent({ position, bytes: Buffer.from(text), format: 'ndjson' });

interface Echo {
  readonly [fact: string]: unknown;
  readonly pid: number;
  readonly seen: number;
}
async function echo(position = 1): Promise<Echo> {
  const { OUT } = await session.execute(event('echo', position));
  return JSON.parse(OUT?.[0] ?? '') as Echo;
}

describe('a co-process', () => {
  it('is started once and given the events with their facts', async () => {
    await open();
    const first = await echo(1);
    expect(first).toMatchObject({
      kind: 'event',
      position: 1,
      lfn: 'events.hepmc3',
      runNumber: null,
      format: 'ndjson',
    });
    expect(first).toMatchObject({ seed: 7_000_000_000_001, text: 'echo', header: '', seen: 1 });
    expect(await echo(2)).toMatchObject({ position: 2, pid: first.pid, seen: 2 });
    expect(await session.execute(event('pieces'))).toEqual({ OUT: ['{"a":1}\n', '{"b":2}\n'] });
  });

  it('is told the run header when it changes', async () => {
    await open();
    const runHeader = Buffer.from('W Default\n');
    const input = payloadEvent({ position: 1, bytes: Buffer.from('echo'), format: 'ndjson', runHeader });
    expect((await session.execute(input))['OUT']?.[0]).toContain('"header":"W Default\\n"');
  });

  it('is given bytes that are no text in base64, and files when asked', async () => {
    await open();
    const binary = payloadEvent({ position: 1, bytes: Uint8Array.of(0xff, 0, 1), format: 'ndjson' });
    expect((await session.execute(binary))['OUT']?.[0]).toContain('"base64":"/wAB"');
    await session.close();
    await open({ transfer: 'file' });
    const { OUT } = await session.execute(event('the bytes'));
    expect(readFileSync((JSON.parse(OUT?.[0] ?? '') as { file: string }).file, 'utf8')).toBe('the bytes');
  });

  it('may print and log: messages go to the log, floods are cut', async () => {
    await open();
    expect(await session.execute(event('print'))).toEqual({});
    expect(session.logged).toEqual(['hello', 'careful']);
    expect(await session.execute(event('flood'))).toEqual({ OUT: ['1'] });
    expect(session.logged.length).toBeLessThanOrEqual(2 + COPROCESS_LOG_LINES_PER_EVENT);
  });

  it('ends when there are no more events', async () => {
    await open();
    const { pid } = await echo();
    await session.close();
    expect(isGone(pid)).toBe(true);
    await open();
  });
});

describe('an event fails alone', () => {
  it('when the co-process says so, which goes on', async () => {
    await open();
    const { pid } = await echo();
    expect(await session.fail(event('throw'))).toEqual({
      message: 'no field map',
      cause: 'payload-error',
      logTail: ['looking for the field map'],
    });
    expect((await echo()).pid).toBe(pid);
  });

  it.each([
    ['crash', { cause: 'signal', signal: 'SIGSEGV' }],
    ['exit', { cause: 'exit-code', childExitCode: 7 }],
    ['leave', { cause: 'exit-code', childExitCode: 0 }],
    ['garbage', { cause: 'protocol' }],
    ['wrongId', { cause: 'protocol' }],
  ])('when the co-process dies or breaks the protocol (%s), and the next has another one', async (action, facts) => {
    await open();
    const { pid } = await echo();
    expect(await session.fail(event(action))).toMatchObject(facts);
    expect(await echo()).toMatchObject({ seen: 1 });
    await expect.poll(() => isGone(pid)).toBe(true);
  });

  it('when it writes to a stream that was not declared', async () => {
    await open();
    expect(await session.fail(event('wrongStream'))).toMatchObject({ cause: 'output-invalid' });
    expect(await echo()).toMatchObject({ seen: 2 });
  });

  it('when it hands over a file of more than an event may write, which is not read', async () => {
    await open();
    expect(await session.fail(event('hugeFile'))).toMatchObject({ cause: 'output-too-large' });
  });

  it('when its time is over, even if the co-process ignores SIGTERM', async () => {
    await open();
    const { pid } = await echo();
    const stop = new AbortController();
    const failing = session.execute(event('hang'), stop.signal);
    stop.abort(new Error('time-out'));
    await expect(failing).rejects.toThrow('time-out');
    expect(isGone(pid)).toBe(true);
    expect(await echo()).toMatchObject({ seen: 1 });
  });
});

describe('initialize fails', () => {
  it('when the co-process is not ready in time, speaks another version or does not start', async () => {
    await open();
    const failing = (mode: string, initTimeoutMs = '20000') =>
      openSession(coprocess, { cmd: mode.startsWith('/') ? mode : cmd(mode), initTimeoutMs });
    await expect(failing('mute', '200')).rejects.toThrow('not ready after 200 ms');
    await expect(failing('old')).rejects.toThrow('"ready" needs "protocol": 1');
    await expect(failing('/no/such/program')).rejects.toThrow(/exit code 127: .*not found/);
  });

  it('for options that make no sense', async () => {
    await open();
    await expect(openSession(coprocess, { cmd: cmd(), outputs: 'hits:ndjson' })).rejects.toThrow('upper-case');
    await expect(openSession(coprocess, { cmd: cmd(), outputs: 'HITS:pdf' })).rejects.toThrow('outputs');
  });
});

const hasPython = spawnSync('python3', ['--version']).status === 0;

describe(hasPython ? 'the Python example' : 'the Python example (skipped: there is no python3)', () => {
  it.skipIf(!hasPython)('counts particles and fails an event that it cannot read', async () => {
    const example = fileURLToPath(new URL('../../../examples/coprocess-python/count_particles.py', import.meta.url));
    session = await openSession(coprocess, { cmd: `python3 '${example}'`, outputs: 'COUNTS:ndjson' });
    const bytes = Buffer.from('E 1 1 3\nU GEV MM\nP 1 0 11 0 0 1 1 0 4\nP 2 1 22 0 0 1 1 0 1\nP 3 1 11 0 0 0 0 0 1\n');
    const written = await session.execute(payloadEvent({ position: 5, bytes }));
    expect(written).toEqual({ COUNTS: ['{"position":5,"particles":3,"final":2}'] });
    const failure = await session.fail(event('{}'));
    expect(failure.message).toBe('ValueError: this example reads HepMC3, not ndjson');
  });
});
