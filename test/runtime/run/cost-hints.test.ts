import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventIndex } from '../../../runtime/indexing/event-index.ts';
import { indexPath } from '../../../runtime/indexing/keep-index.ts';
import { byteCostHints } from '../../../runtime/run/cost-hints.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-hints-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('cost hints', () => {
  it('are the bytes of the events of a range', async () => {
    const path = join(folder, 'events.ndjson');
    writeFileSync(path, '{"n":1}\n{"n":22}\n{"n":333}\n');
    await using index = await EventIndex.open({ path: join(folder, 'index'), readOnly: false });
    const { record } = await indexPath(index, path, { acceptChange: false, checkCancelled: () => undefined });
    const { guid, lfn, format, eventCount } = record;
    const hints = byteCostHints(index, [{ fileIndex: 0, guid, lfn, format, eventCount }]);
    expect(hints({ fileIndex: 0, startEvent: 1, lastEvent: 1 })).toBe(8);
    expect(hints({ fileIndex: 0, startEvent: 2, lastEvent: 3 })).toBe(19);
  });
});
