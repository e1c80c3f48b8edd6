/** The first requests for a file: its size, what to pin it by, its checksums, and whether its server has ranges. */
import type { GranuleError } from '../../core/errors.ts';
import type { FileChecksum, SourceIdentity } from './byte-source.ts';
import { discard, type HttpAnswer } from './http-client.ts';
import { changed, checksumsOf, identityOf, refused } from './http-identity.ts';
import type { HttpTarget } from './http-target.ts';
import { tryContentRange, tryUnsatisfiedTotal } from './range-plan.ts';

export interface OpenedFile {
  readonly identity: SourceIdentity;
  readonly acceptsRanges: boolean;
}

/** One byte tells most. (HEAD would be refused by presigned URLs.) */
export async function probeFile(target: HttpTarget, signal: AbortSignal): Promise<OpenedFile> {
  const answer = await target.send({ Range: 'bytes=0-0' }, signal);
  const { statusCode, headers } = answer;
  if (statusCode === 206) {
    const range = tryContentRange(headers['content-range']);
    await discard(answer);
    if (range?.offsetBytes !== 0) throw target.corrupt(answer, `Content-Range ${headers['content-range']} for byte 0`);
    return { identity: identityOf(headers, range.totalBytes), acceptsRanges: true };
  }
  if (statusCode === 416 && tryUnsatisfiedTotal(headers['content-range']) === 0) {
    await discard(answer);
    return { identity: identityOf(headers, 0), acceptsRanges: true };
  }
  if (statusCode === 200) {
    answer.body.destroy();
    const length = headers['content-length'];
    return {
      identity: identityOf(headers, length === undefined ? undefined : Number(length)),
      acceptsRanges: false,
    };
  }
  throw await judgeAnswer(answer, undefined);
}

/**
 * The identity with checksums (RFC 3230), where the server has some. In a request of its own: XRootD (seen in 5.5) ends
 * its answer to a GET that asks for a digest with a header line that is not one, and keeps doing so on that connection.
 */
export async function askChecksums(
  target: HttpTarget,
  identity: SourceIdentity,
  signal: AbortSignal,
): Promise<SourceIdentity> {
  if (identity.checksums.length > 0) return identity;
  const checksums = await fetchChecksums(target, signal);
  const [first] = checksums;
  const validator = identity.validator ?? (first === undefined ? undefined : `${first.algorithm}:${first.hex}`);
  return { ...identity, validator, checksums };
}

async function fetchChecksums(target: HttpTarget, signal: AbortSignal): Promise<readonly FileChecksum[]> {
  try {
    const answer = await target.sendHead({ 'Want-Digest': 'adler32, sha-256;q=0.5, md5;q=0.3' }, signal);
    await discard(answer);
    return answer.statusCode === 200 ? checksumsOf(answer.headers) : [];
  } catch (error) {
    // The file can be read: a server that has no checksums, or takes too long to make one, is no reason to stop.
    if (signal.aborted) throw error;
    return [];
  }
}

/** The error for an answer that is neither 200 nor 206; reads it away. */
export async function judgeAnswer(answer: HttpAnswer, identity: SourceIdentity | undefined): Promise<GranuleError> {
  await discard(answer);
  if (answer.statusCode === 416 && identity?.sizeBytes !== undefined) {
    const totalBytes = tryUnsatisfiedTotal(answer.headers['content-range']);
    if (totalBytes !== undefined && totalBytes !== identity.sizeBytes) {
      return changed(answer.url, `it had ${identity.sizeBytes} bytes and now has ${totalBytes}`);
    }
  }
  return refused(answer.url, answer.statusCode);
}
