/**
 * A program that starts token extractors and ends each one right after it had much to say, as a run does whose payload
 * turns out to be broken. Bundled and started by `end-extractor.test.ts`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startExtractor, UNKNOWN_RANGE } from './start-extractor.ts';

const EXTRACTORS = 10;
const MESSAGES = 30;
const RANGES = 200;

const folder = mkdtempSync(join(tmpdir(), 'granule-end-extractor-'));
let refusedCount = 0;
for (let nr = 0; nr < EXTRACTORS; nr += 1) {
  const extractor = await startExtractor(folder, {
    onRefused(ranges) {
      refusedCount += ranges.length;
    },
    onFatal(error) {
      throw error;
    },
  });
  // It refuses them in long messages.
  const ranges = Array.from({ length: RANGES }, (_, rangeIndex) => ({ ...UNKNOWN_RANGE, rangeIndex }));
  await Promise.all(Array.from({ length: MESSAGES }, () => extractor.extract(ranges)));
  await extractor.close();
}
rmSync(folder, { recursive: true });
process.stdout.write(refusedCount === EXTRACTORS * MESSAGES * RANGES ? 'all refused' : `${refusedCount} refused`);
