/** A whole file as it streams by, held against the checksums that its server or a catalogue states. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { GranuleError } from '../../core/errors.ts';
import { adler32 } from './adler32.ts';
import type { FileChecksum } from './byte-source.ts';

/** Cheapest first: one of them is enough. `sha-256` is left out, since indexing takes it anyway. */
const PREFERRED: readonly FileChecksum['algorithm'][] = ['crc32', 'adler32', 'md5', 'sha-512'];

/** @throws SOURCE_CORRUPT after the last chunk, when it is not the content that they are of */
export async function* checkStream(
  chunks: AsyncIterable<Uint8Array>,
  checksums: readonly FileChecksum[],
  place: string,
): AsyncGenerator<Uint8Array> {
  const algorithm = PREFERRED.find((candidate) => checksums.some((checksum) => checksum.algorithm === candidate));
  const wanted = checksums.find((checksum) => checksum.algorithm === algorithm);
  if (wanted === undefined) {
    yield* chunks;
    return;
  }
  const digest = createDigest(wanted.algorithm);
  for await (const chunk of chunks) {
    digest.update(chunk);
    yield chunk;
  }
  const found = digest.hex();
  if (found !== wanted.hex) throw contentDiffers(place, { algorithm: wanted.algorithm, hex: found }, wanted);
}

export function contentDiffers(place: string, found: FileChecksum, wanted: FileChecksum): GranuleError {
  return new GranuleError(
    'SOURCE_CORRUPT',
    `${place}: the ${found.algorithm} of what was read is ${found.hex} instead of ${wanted.hex}`,
    { details: { place, found: found.hex, wanted: wanted.hex }, remedy: 'Run the same command again.' },
  );
}

function createDigest(algorithm: FileChecksum['algorithm']): { update(chunk: Uint8Array): void; hex(): string } {
  if (algorithm === 'adler32' || algorithm === 'crc32') {
    const step = algorithm === 'adler32' ? adler32 : crc32;
    let value = algorithm === 'adler32' ? 1 : 0;
    return {
      update: (chunk) => {
        value = step(chunk, value);
      },
      hex: () => value.toString(16).padStart(8, '0'),
    };
  }
  const hash = createHash(algorithm.replace('-', ''));
  return { update: (chunk) => void hash.update(chunk), hex: () => hash.digest('hex') };
}
