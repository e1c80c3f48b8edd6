import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { RunFolder } from '../runtime/whole-run.ts';

const EVENTS = 30;

const EXPECTED = Array.from({ length: EVENTS }, (_, index) => `{"n":${index + 1}}\n`).join('');

let folder: RunFolder | undefined;
afterEach(() => folder?.remove());

/**
 * The last event alters the files of all others but the first, which finds no folder to be created in at once and is not
 * left in memory; whatever is executed leaves a line.
 */
const SPOILER = `
import { appendFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
export default {
  name: 'spoiler', outputs: { OUT: { format: 'ndjson' } },
  execute(event, context) {
    const files = join(context.folder, '..', '..', 'unmerged');
    appendFileSync(join(files, '..', '..', '..', 'executed'), event.position + '\\n');
    if (event.position === ${EVENTS}) {
      for (const name of readdirSync(files, { recursive: true })) {
        if (name.includes('OUT') && !name.endsWith('-1-1')) appendFileSync(join(files, name), 'spoilt');
      }
    }
    context.output('OUT').write({ n: event.position });
  },
};`;

function executed({ path }: RunFolder): number {
  return readFileSync(join(path, 'executed'), 'utf8').trim().split('\n').length;
}

it('an output that is damaged when all events are done is made again in the same start', async () => {
  folder = new RunFolder(SPOILER.replace("!name.endsWith('-1-1')", "name.endsWith('-1-1')"), EVENTS);
  const { outputs, events, exitCode } = await folder.run({ workers: 1 });
  expect(readFileSync(join(folder.outPath, outputs[0]?.path ?? ''), 'utf8')).toBe(EXPECTED);
  expect(events.finished).toBe(EVENTS);
  expect(exitCode).toBe(0);
  expect(executed(folder)).toBe(EVENTS + 1);
});

it('outputs are merged from the copies that workers leave in memory', async () => {
  folder = new RunFolder(SPOILER, EVENTS);
  const { outputs, events } = await folder.run({ workers: 1 });
  const merged = readFileSync(join(folder.outPath, outputs[0]?.path ?? ''), 'utf8');
  expect(merged).toBe(EXPECTED);
  expect(events.finished).toBe(EVENTS);
  expect(executed(folder)).toBe(EVENTS);
});
