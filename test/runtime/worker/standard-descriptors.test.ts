/** What a payload in a thread writes to descriptors 1 and 2 by number: into its log, not among the results. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { granule } from '../cli/program.ts';
import { echoing, RunFolder } from '../whole-run.ts';

const BODY = `const fs = await import('node:fs');
    const call = (f, ...args) => new Promise((resolve, reject) => f(...args, (e, count) => (e ? reject(e) : resolve(count))));
    const bytes = Buffer.from('<<middle>>');
    const counts = [
      fs.writeSync(1, 'one\\n'), fs.writeSync(2, 'dHdvCg==', null, 'base64'), fs.writeSync(1, bytes, 2, 6),
      fs.writeSync(1, bytes, { offset: 2, length: 6 }), fs.writevSync(1, [Buffer.from('a'), Buffer.from('b\\n')]),
      await call(fs.write, 1, 'three\\n'), await call(fs.write, 1, bytes, 2, 6, null), await call(fs.writev, 2, [bytes]),
    ];
    const file = fs.openSync(context.folder + '/other', 'w');
    counts.push(fs.writeSync(file, bytes, 2, 6), await call(fs.write, file, 'text'), fs.writevSync(file, [bytes]));
    fs.closeSync(file);
    await new Promise((resolve) => process.stdout.end('last words', resolve));
    context.output('OUT').write({ counts });`;

it('goes to the log of the worker, while other files are written as ever', async () => {
  const folder = new RunFolder(echoing(BODY), 1);
  try {
    const { inputPath, payloadPath, outPath } = folder;
    const args = ['run', '--input', inputPath, '--payload', payloadPath, '--out', outPath, '--json', '--quiet'];
    const ended = await granule([...args, '--workers', '1']);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(ended.stdout)).toMatchObject({ ending: 'complete' });
    expect(folder.merged()[0]).toEqual({ counts: [4, 4, 6, 6, 3, 6, 6, 10, 6, 4, 10] });
    const worker = join(outPath, '.granule/workers/worker_0');
    expect(readFileSync(join(worker, 'other'), 'utf8')).toBe('middletext<<middle>>');
    const messages = readFileSync(join(worker, 'worker.log'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('eventRangeID'))
      .map((line) => JSON.parse(line).msg);
    expect(messages).toEqual(['one', 'two', 'middle', 'middle', 'ab', 'three', 'middle', '<<middle>>', 'last words']);
  } finally {
    folder.remove();
  }
});
