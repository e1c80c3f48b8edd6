/**
 * The token extractor's thread: ranges come in over one channel, tokens go out over it, in the same order. Ranges are
 * looked up and their bytes planned as soon as they come, while those of earlier ones are still being fetched. It is
 * started with the run, so that it has loaded, and knows its servers, by the time that inputs are indexed.
 */
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { assert, assertNever } from '../../core/assert.ts';
import type { LeasedRange } from '../../core/dispatcher-api.ts';
import { GranuleError, serialiseError } from '../../core/errors.ts';
import { EXTRACT_FRAMES_BYTES, EXTRACT_TOKENS } from '../../core/limits.ts';
import { createLoggerFactory } from '../../core/log.ts';
import type { FromExtractor, RangeToken, ToExtractor } from '../../core/messages.ts';
import { PeerChannel } from '../channel/channel.ts';
import { EventIndex } from '../indexing/event-index.ts';
import { EventDataReader } from '../remote/event-data-reader.ts';
import { RootEventReader } from '../root/root-event-reader.ts';
import { EventBytes } from './event-bytes.ts';
import { type SpanLookup, TokenExtraction } from './token-extraction.ts';
import type { ExtractorData } from './token-extractor.ts';

const data = workerData as ExtractorData;
const channel = PeerChannel.connectPair<ToExtractor, FromExtractor>(data.channelAddress);
/** Aborted when nothing more is to be fetched: at the end, in a drain, and when a source is gone. */
const stopping = new AbortController();

/** Set with the last message: nothing is sent from then on. */
let parted: Promise<void> | undefined;
let isFailing = false;

/** Opened for the first file: until one is indexed there may be none. */
let index: EventIndex | undefined;
const lookup: SpanLookup = {
  lookupSpan(guid, firstPosition, count) {
    assert(index !== undefined, 'ranges come after their file');
    return index.lookupSpan(guid, firstPosition, count);
  },
};

/** The ranges' tokens, without their bytes; none when they cannot be had, which is told. */
async function locate(extraction: TokenExtraction, ranges: readonly LeasedRange[]): Promise<readonly RangeToken[]> {
  try {
    const tokens = extraction.locate(ranges);
    if (!stopping.signal.aborted) extraction.plan(tokens);
    return tokens;
  } catch (error) {
    await refuse(ranges, error);
    return [];
  }
}

async function deliver(extraction: TokenExtraction, tokens: readonly RangeToken[]): Promise<void> {
  for (const group of groupsOf(tokens, extraction.ride(tokens) ? 1 : EXTRACT_TOKENS)) {
    try {
      stopping.signal.throwIfAborted();
      const { files, tokens: complete, frames, refused } = await extraction.load(group, stopping.signal);
      await say({ kind: 'tokens', files, tokens: complete }, frames);
      for (const { token, error } of refused) {
        // The run will end for that: what else waits for bytes must not wait as long as this did.
        if (error.code === 'SOURCE_UNREACHABLE') stopping.abort(error);
        await refuse([token], error);
      }
    } catch (error) {
      extraction.forget(group);
      await refuse(group, error);
    }
  }
}

function refuse(ranges: readonly { readonly rangeIndex: number; readonly attemptNr: number }[], error: unknown) {
  return say({
    kind: 'extraction-failed',
    ranges: ranges.map(({ rangeIndex, attemptNr }) => ({ rangeIndex, attemptNr })),
    error: serialiseError(error),
  });
}

/**
 * Splits a long list, so that the first tokens leave while the bytes of later ones are fetched.
 *
 * @param firstCount tokens in the first group; each has twice as many as the one before
 */
function* groupsOf(tokens: readonly RangeToken[], firstCount: number): IterableIterator<readonly RangeToken[]> {
  let start = 0;
  let bytes = 0;
  let count = firstCount;
  for (let index = 0; index < tokens.length; index += 1) {
    bytes += tokens[index]?.lengthBytes ?? 0;
    if (index + 1 - start < count && bytes < EXTRACT_FRAMES_BYTES) continue;
    yield tokens.slice(start, index + 1);
    start = index + 1;
    bytes = 0;
    count = Math.min(EXTRACT_TOKENS, 2 * count);
  }
  if (start < tokens.length) yield tokens.slice(start);
}

async function main(): Promise<void> {
  await say({ kind: 'extractor-connected' });
  const log = createLoggerFactory(data.log).forComponent('prefetch');
  const ranges = await EventDataReader.open(data.reader, log);
  await using reader = new EventBytes(ranges, new RootEventReader(data.reader, data.branches));
  await serve(new TokenExtraction(lookup, reader), ranges);
  await index?.close();
}

async function serve(extraction: TokenExtraction, ranges: EventDataReader): Promise<void> {
  let delivered: Promise<void> = Promise.resolve();
  for (;;) {
    const received = await channel.receive();
    if (received === undefined) return;
    const { message } = received;
    switch (message.kind) {
      case 'expect-places':
        ranges.expect(message.places);
        break;
      case 'extract-file':
        index ??= await EventIndex.openBesideWriters(data.indexPath);
        extraction.addFile(message);
        break;
      case 'extract-ranges': {
        const tokens = await locate(extraction, message.ranges);
        delivered = delivered.then(() => deliver(extraction, tokens));
        break;
      }
      case 'give-back':
        stopping.abort(new GranuleError('STOPPED_EARLY', 'the run is ending'));
        break;
      case 'end':
        stopping.abort(new GranuleError('STOPPED_EARLY', 'the run is ending'));
        await delivered;
        await part();
        return;
      default:
        assertNever(message, 'message to the token extractor');
    }
  }
}

async function say(message: FromExtractor, frames: readonly Uint8Array[] = []): Promise<void> {
  if (parted === undefined) await channel.send(message, frames);
}

/**
 * Ends the channel. ZeroMQ sends from this thread's memory, and says so to this thread when it has: it must not be gone
 * before the last message has been received, with which ZeroMQ has let go of all others.
 */
function part(): Promise<void> {
  parted ??= sayLast();
  return parted;
}

async function sayLast(): Promise<void> {
  assert(parentPort !== null, 'the extractor is a thread');
  const received = once(parentPort, 'message');
  await channel.send({ kind: 'nothing-follows' });
  await received;
  await channel.close();
}

/** Says why the extractor cannot go on and ends the thread; the socket goes first (see `channel.ts`). */
async function fail(error: unknown): Promise<void> {
  if (isFailing) return;
  isFailing = true;
  try {
    await say({ kind: 'extractor-failed', error: serialiseError(error) });
    await part();
  } finally {
    process.exit(1);
  }
}

process.on('uncaughtException', (error) => void fail(error));
process.on('unhandledRejection', (error) => void fail(error));
main().catch(fail);
