import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ExtractorListeners, TokenExtractor } from '../../../runtime/extraction/token-extractor.ts';
import { moduleForNode } from '../../module-for-node.ts';
import { startExtractor, UNKNOWN_RANGE } from './start-extractor.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-extractor-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function start(listeners: Partial<ExtractorListeners>): Promise<{ extractor: TokenExtractor; fatal: unknown[] }> {
  const fatal: unknown[] = [];
  const extractor = await startExtractor(folder, { onFatal: (error) => fatal.push(error), ...listeners });
  return { extractor, fatal };
}

/** With these the C library fills freed memory and keeps none per thread: a use after free shows. Others ignore them. */
const STRICT_MEMORY = { MALLOC_PERTURB_: '165', GLIBC_TUNABLES: 'glibc.malloc.tcache_count=0' };

it('a token extractor that is ended has delivered all it sent, and takes no memory away that ZeroMQ sends from', () => {
  const program = fileURLToPath(moduleForNode('test/runtime/extraction/end-extractor.child.ts'));
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [program], {
    encoding: 'utf8',
    env: { ...process.env, ...STRICT_MEMORY },
  });
  expect({ status, signal, stdout, stderr }).toEqual({ status: 0, signal: null, stdout: 'all refused', stderr: '' });
});

it('a token extractor that cannot go on says why, and can be closed', async () => {
  const { extractor, fatal } = await start({});
  await extractor.addFile({
    fileIndex: 0,
    record: { guid: 'none' } as never,
    places: [join(folder, 'none.ndjson')],
  });
  await expect.poll(() => fatal.length).toBeGreaterThan(0);
  await extractor.close();
  expect(String(fatal[0])).toContain('index');
});

it('a token extractor whose listener throws is still heard to its end', async () => {
  let refusals = 0;
  const { extractor, fatal } = await start({
    onRefused() {
      refusals += 1;
      throw new Error('a listener threw');
    },
  });
  for (let count = 0; count < 50; count += 1) await extractor.extract([UNKNOWN_RANGE]);
  await extractor.close();
  expect(refusals).toBe(50);
  expect(String(fatal[0])).toContain('a listener threw');
});
