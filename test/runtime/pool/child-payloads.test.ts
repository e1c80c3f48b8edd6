/** Whole runs of payloads that are programs of their own, which misbehave: events fail alone, with the child's own words. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openTableReader } from '../../../dispatcher/table-reader.ts';
import { RunFolder } from '../whole-run.ts';

const EVENTS = 30;
const folders: RunFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

function newFolder(): RunFolder {
  const folder = new RunFolder('', EVENTS);
  folders.push(folder);
  return folder;
}

/** What fails, and what the event table keeps of it. */
async function failures(folder: RunFolder): Promise<Record<number, unknown>> {
  const table = openTableReader(`${folder.outPath}/.granule/store`);
  try {
    return Object.fromEntries(folder.failed.map(([position]) => [position, table.show(1, 0, position).failure]));
  } finally {
    await table.close();
  }
}

/** A co-process that answers every event with its position, and misbehaves at some. */
const COPROCESS = `import json, os, signal, subprocess, sys, time
def send(**message):
    print(json.dumps(message), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message['kind'] == 'hello':
        send(kind='ready', protocol=1)
    elif message['kind'] == 'end':
        break
    elif message['kind'] == 'event':
        position = message['position']
        if position == 3:
            send(kind='failed', id=message['id'], reason='no field map')
            continue
        if position == 5:
            os.kill(os.getpid(), signal.SIGSEGV)
        if position == 7:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            subprocess.call(['sleep', '4714'])
        if position == 9:
            send(kind='nonsense')
        if position == 11:
            print('bye', file=sys.stderr)
            sys.exit(3)
        while position == 13:
            print('flood', file=sys.stderr)
        send(kind='done', id=message['id'], outputs={'OUT': [{'n': position}]})
`;

function processesWith(text: string): string[] {
  return execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(text));
}

describe.each(['thread', 'process'] as const)('programs of which some events go wrong, in a %s', (isolation) => {
  it('costs a command those events only', async () => {
    const folder = newFolder();
    const cmd = `case {position} in
      3) echo 'no field map' >&2; exit 3;;
      5) kill -SEGV $$;;
      7) trap '' TERM; sleep 4713; sleep 4713;;
      9) yes flood;;
      11) yes flood >&2;;
      13) sleep 4713 & ;;
      15) head -c 1000000000 /dev/zero;;
    esac
    cat`;
    const summary = await folder.run({
      payload: 'command',
      options: { cmd, format: 'ndjson' },
      isolation,
      timeout: '2s',
      failuresMax: 1,
      outputSizeMax: '1MB',
    });
    expect(summary).toMatchObject({ ending: 'failed-events', events: { finished: EVENTS - 6, failed: 6 } });
    expect(await failures(folder)).toMatchObject({
      3: { cause: 'exit-code', childExitCode: 3, logTail: expect.arrayContaining(['no field map']) },
      5: { cause: 'signal', signal: 'SIGSEGV' },
      7: { cause: 'timeout' },
      9: { cause: 'output-too-large' },
      11: { cause: 'timeout', logTail: expect.arrayContaining(['warn: flood']) },
      15: { cause: 'output-too-large' },
    });
    expect(folder.merged()).toHaveLength(EVENTS - 6);
    await expect.poll(() => processesWith('sleep 4713')).toEqual([]);
  });

  it('costs a co-process those events only', async () => {
    const folder = newFolder();
    const program = join(folder.path, 'program.py');
    writeFileSync(program, COPROCESS);
    const summary = await folder.run({
      payload: 'coprocess',
      options: { cmd: `python3 ${program}` },
      isolation,
      timeout: '3s',
      failuresMax: 1,
    });
    expect(summary).toMatchObject({ ending: 'failed-events', events: { finished: EVENTS - 6, failed: 6 } });
    expect(await failures(folder)).toMatchObject({
      3: { cause: 'payload-error', message: expect.stringContaining('no field map') },
      5: { cause: 'signal', signal: 'SIGSEGV' },
      7: { cause: 'timeout' },
      9: { cause: 'protocol' },
      11: { cause: 'exit-code', childExitCode: 3, logTail: expect.arrayContaining(['bye']) },
      13: { cause: 'timeout', logTail: expect.arrayContaining(['warn: flood']) },
    });
    expect(folder.merged()).toHaveLength(EVENTS - 6);
    await expect.poll(() => processesWith('sleep 4714')).toEqual([]);
    await expect.poll(() => processesWith(program)).toEqual([]);
  });
});
