/**
 * A program that starts token extractors and ends each one right after it had much to say, as a run does whose payload
 * turns out to be broken. Bundled and started by `end-extractor.test.ts`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TokenExtractor } from '../../../runtime/extraction/token-extractor.ts';
import { REMOTE_DEFAULTS } from '../../../runtime/remote/remote-options.ts';

const EXTRACTORS = 10;
const MESSAGES = 30;
const RANGES = 200;

const folder = mkdtempSync(join(tmpdir(), 'granule-end-extractor-'));
let refusedCount = 0;
for (let nr = 0; nr < EXTRACTORS; nr += 1) {
  const extractor = await TokenExtractor.start({
    indexPath: join(folder, 'index'),
    reader: { remote: REMOTE_DEFAULTS, cache: undefined, prefetchBytesMax: 1_000_000 },
    branches: [],
    log: { file: join(folder, 'log'), level: 'error' },
  });
  extractor.listen({
    onTokens: () => undefined,
    onRefused(ranges) {
      refusedCount += ranges.length;
    },
    onFatal(error) {
      throw error;
    },
  });
  // It knows no file, so it refuses them, in long messages.
  const ranges = Array.from({ length: RANGES }, (_, index) => ({
    rangeIndex: index,
    fileIndex: 0,
    startEvent: index + 1,
    lastEvent: index + 1,
    attemptNr: 1,
    failures: 0,
  }));
  await Promise.all(Array.from({ length: MESSAGES }, () => extractor.extract(ranges)));
  await extractor.close();
}
rmSync(folder, { recursive: true });
process.stdout.write(refusedCount === EXTRACTORS * MESSAGES * RANGES ? 'all refused' : `${refusedCount} refused`);
