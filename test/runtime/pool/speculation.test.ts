/** Long events at the end of a run that are started a second time while cores idle. */
import { afterEach, describe, expect, it } from 'vitest';
import { echoing, RunFolder } from '../whole-run.ts';

const folders: RunFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

function folderOf(body: string): RunFolder {
  const folder = new RunFolder(echoing(body), EVENTS);
  folders.push(folder);
  return folder;
}

const EVENTS = 60;
const ALL = Array.from({ length: EVENTS }, (_, index) => ({ n: index + 1 }));

/** Only the first execution of the last event. */
function firstOfLast(body: string): string {
  return `const fs = await import('node:fs');
    const file = context.folder + '/../begun';
    if (n === ${EVENTS} && !fs.existsSync(file)) { fs.writeFileSync(file, ''); ${body} }`;
}

describe('an event that runs much longer than others, at the end', () => {
  it.each([
    ['loops for ever', 'thread', 'for (;;);'],
    ['waits for ever', 'thread', 'await new Promise(() => {});'],
    ['has stopped its process', 'process', `process.kill(process.pid, 'SIGSTOP');`],
  ] as const)('is finished by another worker, when its own %s', async (_, isolation, body) => {
    const folder = folderOf(firstOfLast(body));
    const summary = await folder.run({ isolation, timeout: 'off' });
    expect(summary).toMatchObject({
      ending: 'complete',
      events: { finished: EVENTS, retried: 0 },
      speculation: { copies: 1, discarded: 1 },
    });
    expect(folder.merged()).toEqual(ALL);
    expect(folder.leftIn('unmerged')).toEqual([]);
    expect(folder.leftIn('workers').filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('is not failed by a copy that fails while the other goes on', async () => {
    const folder = folderOf(
      firstOfLast(
        'await new Promise((resolve) => setTimeout(resolve, 1500)); context.output("OUT").write({ n }); return;',
      ).concat(`if (n === ${EVENTS}) throw new Error('the copy');`),
    );
    const summary = await folder.run({ timeout: 'off' });
    expect(summary).toMatchObject({ ending: 'complete', events: { retried: 0 }, speculation: { copies: 1 } });
    expect(folder.merged()).toEqual(ALL);
  });

  it('wins against its copy when it is there first', async () => {
    const folder = folderOf(
      `const fs = await import('node:fs');
      const file = context.folder + '/../begun';
      if (n === ${EVENTS}) {
        const isFirst = !fs.existsSync(file);
        fs.writeFileSync(file, '');
        await new Promise((resolve) => setTimeout(resolve, isFirst ? 1500 : 60_000));
      }`,
    );
    const summary = await folder.run({ timeout: 'off' });
    expect(summary).toMatchObject({ ending: 'complete', speculation: { copies: 1, discarded: 1 } });
    expect(folder.merged()).toEqual(ALL);
    expect(folder.leftIn('unmerged')).toEqual([]);
  });

  it('is not begun once more when it has won in its last attempt, together with others', async () => {
    const folder = folderOf(
      `const fs = await import('node:fs');
      const file = context.folder + '/../begun';
      if (n === ${EVENTS}) {
        const begun = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
        fs.writeFileSync(file, begun + 'x');
        if (begun.length < 2) await new Promise((resolve) => setTimeout(resolve, begun === '' ? 1500 : 60_000));
      }`,
    );
    const summary = await folder.run({ timeout: 'off', eventsPerRange: 2, failuresMax: 1 });
    expect(summary).toMatchObject({ ending: 'complete', speculation: { copies: 1, discarded: 1 } });
    expect(folder.merged()).toEqual(ALL);
  });

  it('is waited for with speculation off', async () => {
    const folder = folderOf(`if (n === ${EVENTS}) await new Promise((resolve) => setTimeout(resolve, 1500));`);
    const summary = await folder.run({ timeout: 'off', speculate: false });
    expect(summary).toMatchObject({ ending: 'complete', speculation: { copies: 0, discarded: 0 } });
  });
});
