/** `granule stop` and runs that are not in its reach; that it stops those that are is in `test/flow/retry-and-stop.test.ts`. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import { LmdbTableStore } from '../../../dispatcher/lmdb-table-store.ts';
import { identifyProcess, type ProcessIdentity } from '../../../dispatcher/process-identity.ts';
import { packRecord } from '../../../dispatcher/record-codec.ts';
import { STORE_KEYS } from '../../../dispatcher/table-store.ts';
import { stopCommand } from '../../../runtime/cli/commands/stop.ts';
import { runFolders } from '../../../runtime/run/run-folders.ts';
import { makeFolder, openDispatcher, removeFolder } from '../../dispatcher/fixture.ts';

let folder = '';
beforeEach(() => {
  folder = makeFolder();
});
afterEach(() => removeFolder(folder));

async function stopRunOf(holder: ProcessIdentity): Promise<number> {
  const { store: path } = runFolders(join(folder, 'out'));
  mkdirSync(path, { recursive: true });
  const dispatcher = await openDispatcher(path);
  await dispatcher.close();
  const store = new LmdbTableStore(path);
  const value = packRecord({ holder, token: 'x', renewedMs: systemClock.nowMs() });
  await store.commit([{ key: STORE_KEYS.lock, value }]);
  await store.close();
  const notices = { isTTY: false, columns: 80, write: () => undefined };
  return stopCommand.run(
    { operands: [], flags: { out: 'out' } },
    {
      environment: {},
      currentFolder: folder,
      stdin: Readable.from([]),
      results: { ...notices, write: () => Promise.resolve(true) },
      notices,
    },
  );
}

it.each([
  ['in another container of this machine', { pidNamespace: 'pid:[1]' }],
  ['on far-away', { host: 'far-away' }],
])('granule stop sends no signal to the pid of a run %s', async (where, differing) => {
  const signals: string[] = [];
  const listener = (signal: string): void => void signals.push(signal);
  process.once('SIGTERM', listener);
  const stopping = stopRunOf({ ...identifyProcess(process.pid), ...differing });
  await expect(stopping).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining(where) });
  process.off('SIGTERM', listener);
  expect(signals).toEqual([]);
});
