/**
 * The token extractor's thread: ranges come in over one channel, tokens go out over it. Messages are handled in order;
 * look-ahead is the reader's business.
 */
import { workerData } from 'node:worker_threads';
import { assertNever } from '../core/assert.ts';
import type { LeasedRange } from '../core/dispatcher-api.ts';
import { serialiseError } from '../core/errors.ts';
import { EXTRACT_FRAMES_BYTES, EXTRACT_TOKENS } from '../core/limits.ts';
import { createLoggerFactory } from '../core/log.ts';
import type { FromExtractor, RangeToken, ToExtractor } from '../core/messages.ts';
import { PeerChannel } from './channel.ts';
import { EventIndex } from './indexing/event-index.ts';
import { EventDataReader } from './remote/event-data-reader.ts';
import { TokenExtraction } from './token-extraction.ts';
import type { ExtractorData } from './token-extractor.ts';

const data = workerData as ExtractorData;
const channel = PeerChannel.connectPair<ToExtractor, FromExtractor>(data.channelAddress);
const shutdown = new AbortController();

async function extract(extraction: TokenExtraction, ranges: readonly LeasedRange[]): Promise<void> {
  let tokens: RangeToken[];
  try {
    tokens = extraction.locate(ranges);
    extraction.plan(tokens);
  } catch (error) {
    await refuse(ranges, error);
    return;
  }
  for (const group of groupsOf(tokens)) {
    try {
      const { files, tokens: complete, frames, refused } = await extraction.load(group, shutdown.signal);
      await channel.send({ kind: 'tokens', files, tokens: complete }, frames);
      for (const { token, error } of refused) await refuse([token], error);
    } catch (error) {
      await refuse(group, error);
    }
  }
}

function refuse(ranges: readonly { readonly rangeIndex: number; readonly attemptNr: number }[], error: unknown) {
  return channel.send({
    kind: 'extraction-failed',
    ranges: ranges.map(({ rangeIndex, attemptNr }) => ({ rangeIndex, attemptNr })),
    error: serialiseError(error),
  });
}

/** Splits a long list, so that the first tokens leave while the bytes of later ones are fetched. */
function* groupsOf(tokens: readonly RangeToken[]): IterableIterator<readonly RangeToken[]> {
  let start = 0;
  let bytes = 0;
  for (let index = 0; index < tokens.length; index += 1) {
    bytes += tokens[index]?.lengthBytes ?? 0;
    if (index + 1 - start < EXTRACT_TOKENS && bytes < EXTRACT_FRAMES_BYTES) continue;
    yield tokens.slice(start, index + 1);
    start = index + 1;
    bytes = 0;
  }
  if (start < tokens.length) yield tokens.slice(start);
}

async function main(): Promise<void> {
  await using index = await EventIndex.open({ path: data.indexPath, readOnly: true });
  const log = createLoggerFactory(data.log).forComponent('prefetch');
  const { remote, prefetchBytesMax, cache } = data;
  const reader = await EventDataReader.open({ remote, prefetchBytesMax, cache: cache ?? undefined }, log);
  try {
    await serve(new TokenExtraction(index, reader));
  } finally {
    await reader.close();
  }
}

async function serve(extraction: TokenExtraction): Promise<void> {
  for (;;) {
    const received = await channel.receive();
    if (received === undefined) return;
    const { message } = received;
    switch (message.kind) {
      case 'extract-file':
        extraction.addFile(message);
        break;
      case 'extract-ranges':
        await extract(extraction, message.ranges);
        break;
      case 'end':
        shutdown.abort();
        await channel.close();
        return;
      default:
        assertNever(message, 'message to the token extractor');
    }
  }
}

main().catch(async (error: unknown) => {
  await channel.send({ kind: 'extractor-failed', error: serialiseError(error) });
  await channel.close();
});
