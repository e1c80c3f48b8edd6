/** The payload `command`: real shells, real files, real signals. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import command from '../../../payloads/builtin/command.ts';
import { declaredOutputs, type PayloadDefinition } from '../../../payloads/payload.ts';
import { isGone, openSession, type PayloadSession } from '../children/payload-session.ts';
import { payloadEvent, TEST_GUID } from '../run-payload.ts';

let session: PayloadSession;
const open = async (cmd: string, options: Record<string, string> = {}): Promise<PayloadSession> => {
  session = await openSession(command, { cmd, ...options });
  return session;
};
afterEach(() => session.close());

const event = (position: number, text = `event ${position}\n`, format: 'hepmc3' | 'ndjson' = 'hepmc3') =>
  payloadEvent({ position, bytes: Buffer.from(text), format });

describe('a command', () => {
  it('reads the event on stdin and writes its output to stdout', async () => {
    await open('tr a-z A-Z');
    expect(await session.execute(event(1))).toEqual({ OUT: ['EVENT 1\n'] });
    expect(await session.execute(event(2))).toEqual({ OUT: ['EVENT 2\n'] });
  });

  it('may use files and facts of the event, and leaves no file behind', async () => {
    const cmd = 'sed s/event/EVENT/ {event} > {output}; echo {position} {guid} {lfn} {seed} {eventNumber} >> {output}';
    await open(cmd, { stream: 'TEXT' });
    const facts = `3 ${TEST_GUID} events.hepmc3 7000000000003 3`;
    expect(await session.execute(event(3))).toEqual({ TEXT: [`EVENT 3\n${facts}\n`] });
    expect(readdirSync(session.folder)).toEqual([]);
  });

  it('is given the event as a complete file of its format by {input}', async () => {
    const runHeader = Buffer.from('HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\nW Default\n');
    await open('cat {input}');
    const input = payloadEvent({ position: 1, bytes: Buffer.from('E 1 0 0\nU GEV MM\n'), runHeader });
    const expected = `${runHeader.toString()}E 1 0 0\nU GEV MM\nHepMC::Asciiv3-END_EVENT_LISTING\n`;
    expect(await session.execute(input)).toEqual({ OUT: [expected] });
  });

  it('writes records: lines of JSON, events of a listing with or without header', async () => {
    await open(`printf '{"a":1}\\n\\n{"a":1e400}\\n'`, { format: 'ndjson' });
    expect(await session.execute(event(1))).toEqual({ OUT: ['{"a":1}\n', '{"a":1e400}\n'] });
    await session.close();

    const listing = (events: string) =>
      `HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\n${events}HepMC::Asciiv3-END_EVENT_LISTING\n`;
    await open('cat', { format: 'as-input' });
    expect(declaredOutputs(command as unknown as PayloadDefinition, { stream: 'OUT', format: 'as-input' })).toEqual({
      OUT: { format: 'as-input' },
    });
    const [first, second] = ['E 1 0 0\nU GEV MM\n', 'E 2 0 0\nU GEV MM\n'];
    expect(await session.execute(event(1, first))).toEqual({ OUT: [first] });
    expect(await session.execute(event(1, listing(first + second)))).toEqual({ OUT: [first, second] });
    expect(await session.execute(event(1, '{"x":2}\n', 'ndjson'))).toEqual({ OUT: ['{"x":2}\n'] });
  });

  it('may indent its lines of JSON as far as it likes', async () => {
    await open(`printf '%80s{"a":1}\n%80s\n' '' ''`, { format: 'gev' });
    expect(await session.execute(event(1))).toEqual({ OUT: ['{"a":1}'] });
  });

  it('without output makes no record', async () => {
    await open('true');
    expect(await session.execute(event(1))).toEqual({});
  });

  it('may leave its input unread, however large', async () => {
    await open('echo done');
    expect(await session.execute(event(1, 'x'.repeat(4_000_000)))).toEqual({ OUT: ['done\n'] });
  });
});

describe('an event fails alone', () => {
  it('with the exit code and the last lines', async () => {
    await open('echo half; echo "no field map" >&2; exit $(({position} % 2 * 3))');
    expect(await session.fail(event(1))).toEqual({
      message: 'the command ended with exit code 3: no field map',
      cause: 'exit-code',
      childExitCode: 3,
      logTail: ['no field map'],
    });
    expect(await session.execute(event(2))).toEqual({ OUT: ['half\n'] });
  });

  it('with the signal, also of a program below the shell', async () => {
    await open('kill -SEGV $$');
    expect(await session.fail(event(1))).toMatchObject({ cause: 'signal', signal: 'SIGSEGV' });
    await session.close();
    await open("sh -c 'kill -SEGV $$'; exit $?");
    expect(await session.fail(event(1))).toMatchObject({ cause: 'signal', signal: 'SIGSEGV' });
  });

  it('when its output is no JSON or missing', async () => {
    await open('true {output}');
    expect(await session.fail(event(1))).toMatchObject({ cause: 'output-invalid' });
    await session.close();
    await open('echo nope', { format: 'gev' });
    expect((await session.fail(event(1))).message).toContain('record 1 of its output is not JSON');
  });

  it('when what it leaves as output is a folder, which is gone for the next event', async () => {
    await open('mkdir {output} && touch {output}/in');
    for (const position of [1, 2]) {
      expect(await session.fail(event(position))).toMatchObject({ cause: 'output-invalid' });
      expect(readdirSync(session.folder)).toEqual([]);
    }
  });

  it('after printing without end, of which only the end is kept', async () => {
    await open('yes line | head -c 20000000 >&2; echo last >&2; exit 1');
    const { logTail } = await session.fail(event(1));
    expect(logTail).toHaveLength(40);
    expect(logTail?.at(-1)).toBe('last');
  });

  it('when it is aborted: the whole group ends, even one that ignores SIGTERM', async () => {
    await open(`trap '' TERM; sleep 1000 & echo $$ $! > '{folder}/new'; mv '{folder}/new' '{folder}/pids'; wait`);
    const stop = new AbortController();
    const failing = session.execute(event(1), stop.signal);
    const pidFile = join(session.folder, 'pids');
    await expect.poll(() => existsSync(pidFile)).toBe(true);
    stop.abort(new Error('time-out'));
    await expect(failing).rejects.toThrow('time-out');
    const pids = readFileSync(pidFile, 'utf8').trim().split(' ').map(Number);
    await expect.poll(() => pids.map(isGone)).toEqual([true, true]);
  });

  it('while what it left in the background ends with it', async () => {
    await open('sleep 1000 & echo $!');
    const { OUT } = await session.execute(event(1));
    const background = Number(OUT?.[0]);
    await expect.poll(() => isGone(background)).toBe(true);
  });
});

it('refuses a misspelt placeholder, an empty command and an unknown format', async () => {
  session = await openSession(command, { cmd: 'true' });
  await expect(openSession(command, { cmd: 'cat {evnt}' })).rejects.toThrow('{evnt} is no placeholder');
  await expect(openSession(command, { cmd: ' ' })).rejects.toThrow('cmd');
  await expect(openSession(command, {})).rejects.toThrow('option "cmd" is missing');
  await expect(openSession(command, { cmd: 'cat', format: 'pdf' })).rejects.toThrow("found 'pdf'");
});
