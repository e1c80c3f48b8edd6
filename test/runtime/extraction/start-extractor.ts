/** For tests: a token extractor that has no index. It refuses all ranges, and cannot go on once it is told of a file. */
import { join } from 'node:path';
import { type ExtractorListeners, TokenExtractor } from '../../../runtime/extraction/token-extractor.ts';
import { REMOTE_DEFAULTS } from '../../../runtime/remote/remote-options.ts';

export async function startExtractor(
  folder: string,
  listeners: Pick<ExtractorListeners, 'onFatal'> & Partial<ExtractorListeners>,
): Promise<TokenExtractor> {
  const extractor = await TokenExtractor.start({
    indexPath: join(folder, 'index'),
    reader: { remote: REMOTE_DEFAULTS, cache: undefined, prefetchBytesMax: 1_000_000 },
    branches: [],
    log: { file: join(folder, 'log'), level: 'error' },
  });
  extractor.listen({ onTokens: () => undefined, onRefused: () => undefined, ...listeners });
  return extractor;
}

/** One that it knows no file for. */
export const UNKNOWN_RANGE = { rangeIndex: 0, fileIndex: 0, startEvent: 1, lastEvent: 1, attemptNr: 1, failures: 0 };
