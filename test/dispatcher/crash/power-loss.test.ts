/**
 * A power cut keeps what was flushed and any part of what was being written. The files are taken at a moment when all was
 * acknowledged; then one more group is written, and of its pages some reach the disk, but not the one that makes them
 * valid, which LMDB writes last.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createRandom } from '../../../core/random.ts';
import {
  failed,
  finished,
  ManualClock,
  makeFolder,
  mergeAll,
  openDispatcher,
  removeFolder,
  submit,
  TestConsumer,
} from '../fixture.ts';

const PAGE_BYTES = 4096;
/** LMDB's two meta pages. */
const FIRST_DATA_PAGE = 2;
const CUTS = 20;
const RANGES = 4500;

let path: string;

beforeEach(() => {
  path = makeFolder();
});

afterEach(() => {
  removeFolder(path);
});

/** The flushed state with some of the pages that were written after it. */
function tear(flushed: Buffer, later: Buffer, keep: () => boolean): Buffer {
  const torn = Buffer.alloc(Math.max(flushed.length, later.length));
  flushed.copy(torn);
  for (let page = FIRST_DATA_PAGE; page * PAGE_BYTES < later.length; page += 1) {
    const start = page * PAGE_BYTES;
    if (keep()) later.copy(torn, start, start, start + PAGE_BYTES);
  }
  return torn;
}

it(`a power cut loses nothing that was acknowledged, whichever of ${CUTS} times it comes`, async () => {
  const random = createRandom(20_261_121);
  const clock = new ManualClock();
  let dispatcher = await openDispatcher(path, { clock });
  const taskID = await submit(dispatcher, [RANGES], { eventsPerOutput: 500, failuresMax: 60 });
  for (let cut = 0; cut < CUTS; cut += 1) {
    const consumer = await new TestConsumer(dispatcher, `a${cut}`).start(taskID);
    const ranges = await consumer.take(1 + Math.floor(400 * random.uniform()));
    await consumer.report(...ranges.map((range) => (random.uniform() < 0.2 ? failed(range) : finished(range))));
    if (random.uniform() < 0.5) await mergeAll(dispatcher, taskID);
    const next = await consumer.take(50);
    const acknowledged = JSON.stringify(dispatcher.describeRanges(taskID, 0, RANGES));
    const flushed = readFileSync(join(path, 'data.mdb'));
    // One more group, which nobody is told of.
    await consumer.report(...next.map(finished));
    const later = readFileSync(join(path, 'data.mdb'));
    await dispatcher.close();
    const share = random.uniform();
    writeFileSync(
      join(path, 'data.mdb'),
      tear(flushed, later, () => random.uniform() < share),
    );
    rmSync(join(path, 'lock.mdb'));
    // The lock in it names this process, which lives: on a real power cut its boot would be another one.
    dispatcher = await openDispatcher(path, { clock, force: true });
    const found = JSON.stringify(dispatcher.describeRanges(taskID, 0, RANGES));
    if (found !== acknowledged) expect(JSON.parse(found)).toEqual(JSON.parse(acknowledged));
    await new TestConsumer(dispatcher, `a${cut}`).at(dispatcher).leave();
  }
  await dispatcher.close();
});
