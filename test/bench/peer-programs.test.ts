import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { measurePeer, PEERS } from '../../bench/peer-programs.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-peers-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function measure(peer: (typeof PEERS)[number]): Promise<number | null> {
  const work = { folder, fileCount: 40, sizeBytes: 100, threadCount: 2 };
  return measurePeer(peer, work, new AbortController().signal);
}

describe('another tool', () => {
  it.each(PEERS)('is measured where it is installed, and is absent elsewhere: %s', async (peer) => {
    const perSecond = await measure(peer);
    if (perSecond !== null) expect(perSecond).toBeGreaterThan(0);
  });

  it('is absent where its program is not found', async () => {
    vi.stubEnv('PATH', folder);
    expect(await measure('parallel')).toBeNull();
  });
});
