/**
 * A file behind HTTP(S) as a {@link ByteSource}: range requests, several ranges in one where the host can, fewer where it
 * cannot (200 -> 50 -> 20 -> 5 -> 1, remembered per host), and one sequential pass where it has no ranges at all.
 * Nothing is tried twice here; `ReplicaSet` does that.
 */
import { type GranuleError, isGranuleError } from '../../core/errors.ts';
import { REMOTE_GENEROUS_RANGES } from '../../core/limits.ts';
import { abortable } from './abortable.ts';
import { type ByteRange, type ByteSource, endOf, type SourceIdentity } from './byte-source.ts';
import { collectBody, collectExactly, streamBody } from './http-body.ts';
import { discard, type HttpAnswer, type HttpClient, type HttpHeaders } from './http-client.ts';
import { changed, checkIdentity, corrupt, identityOf, refused } from './http-identity.ts';
import { parseMultipartByteranges, tryMultipartBoundary } from './multipart-byteranges.ts';
import { showUrl } from './place.ts';
import {
  coalesce,
  type FetchSpan,
  packRequests,
  rangeHeader,
  tryContentRange,
  tryUnsatisfiedTotal,
} from './range-plan.ts';
import { SequentialReader } from './sequential-reader.ts';

/** Statuses of servers that choke on a long list of ranges; of a single range they would be a refusal. */
const TOO_MANY_RANGES = new Set([400, 413, 414, 416, 431, 501]);
/** Statuses after which a remembered redirect target is no longer good. */
const TARGET_GONE = new Set([401, 403, 404, 410]);

interface Opened {
  readonly identity: SourceIdentity;
  readonly acceptsRanges: boolean;
}

/** One piece of a file as it came: exactly what its span says, or a wider piece around it. */
interface Piece extends ByteRange {
  readonly bytes: Uint8Array;
}

export class HttpSource implements ByteSource {
  readonly place: string;
  readonly #client: HttpClient;
  readonly #url: URL;
  /** where redirects led to last time: saves a round trip per request */
  #target: URL;
  #opened: Promise<Opened> | undefined;
  readonly #closing = new AbortController();
  #sequential: SequentialReader | undefined;

  constructor(client: HttpClient, url: URL) {
    this.#client = client;
    this.#url = url;
    this.#target = url;
    this.place = showUrl(url);
    client.trust(url);
  }

  /** What the host that serves the file now is expected to take. */
  expectedMs(sizeBytes: number, nowMs: number): number {
    return this.#client.host(this.#target).expectedMs(sizeBytes, nowMs);
  }

  async open(signal: AbortSignal): Promise<SourceIdentity> {
    return (await this.#open(signal)).identity;
  }

  async read(range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const [bytes] = await this.readMany([range], signal);
    return bytes ?? new Uint8Array(0);
  }

  async readMany(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]> {
    const { identity, acceptsRanges } = await this.#open(signal);
    this.#checkEnd(ranges, identity);
    if (!acceptsRanges || this.#sequential !== undefined) return this.#readSequentially(ranges, signal);
    const rangesMax = this.#client.host(this.#target).rangesPerRequest;
    const spans = coalesce(ranges, rangesMax <= REMOTE_GENEROUS_RANGES);
    const results: Uint8Array[] = ranges.map(() => new Uint8Array(0));
    const place = (span: FetchSpan, piece: Piece): void => {
      for (const member of span.members) {
        const range = ranges[member];
        if (range === undefined) continue;
        const from = range.offsetBytes - piece.offsetBytes;
        results[member] = piece.bytes.subarray(from, from + range.lengthBytes);
      }
    };
    const complete = await this.#fetchAll(spans, rangesMax, place, signal);
    return complete ? results : this.#readSequentially(ranges, signal);
  }

  async *stream(offsetBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { identity, acceptsRanges } = await this.#open(signal);
    if (identity.sizeBytes !== undefined && offsetBytes >= identity.sizeBytes) return;
    const byRange = offsetBytes > 0 && acceptsRanges && this.#sequential === undefined;
    const answer = await this.#send(byRange ? { range: `bytes=${offsetBytes}-` } : {}, signal);
    let skipBytes = offsetBytes;
    if (answer.statusCode === 206) {
      const range = tryContentRange(answer.headers['content-range']);
      if (range?.offsetBytes !== offsetBytes) {
        answer.body.destroy();
        throw this.#corrupt(answer, `asked from byte ${offsetBytes}, answered ${answer.headers['content-range']}`);
      }
      skipBytes = 0;
    } else if (answer.statusCode !== 200) {
      throw await this.#judge(answer, identity);
    }
    checkIdentity(answer, identity);
    let at = offsetBytes - skipBytes;
    for await (const chunk of streamBody(this.#client, answer, signal)) {
      at += chunk.length;
      if (at > offsetBytes)
        yield at - chunk.length >= offsetBytes ? chunk : chunk.subarray(chunk.length - (at - offsetBytes));
    }
    if (identity.sizeBytes !== undefined && at !== identity.sizeBytes) {
      throw this.#corrupt(answer, `the file ends at byte ${at} of ${identity.sizeBytes}`);
    }
  }

  async close(): Promise<void> {
    const reason = corrupt(this.#url, 'the source was closed');
    this.#closing.abort(reason);
    await this.#sequential?.close(reason);
  }

  #open(signal: AbortSignal): Promise<Opened> {
    this.#opened ??= this.#probe(this.#closing.signal).catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return abortable(this.#opened, signal);
  }

  /** One byte tells size, validator and whether there are ranges. (HEAD would be refused by presigned URLs.) */
  async #probe(signal: AbortSignal): Promise<Opened> {
    const answer = await this.#send({ range: 'bytes=0-0', 'want-digest': 'adler32, sha-256;q=0.5, md5;q=0.3' }, signal);
    const { statusCode, headers } = answer;
    if (statusCode === 206) {
      const range = tryContentRange(headers['content-range']);
      await discard(answer);
      if (range?.offsetBytes !== 0) throw this.#corrupt(answer, `Content-Range ${headers['content-range']} for byte 0`);
      return { identity: identityOf(headers, range.totalBytes), acceptsRanges: true };
    }
    if (statusCode === 416 && tryUnsatisfiedTotal(headers['content-range']) === 0) {
      await discard(answer);
      return { identity: identityOf(headers, 0), acceptsRanges: true };
    }
    if (statusCode === 200) {
      answer.body.destroy();
      const length = headers['content-length'];
      const sizeBytes = length === undefined ? undefined : Number(length);
      return { identity: identityOf(headers, sizeBytes), acceptsRanges: false };
    }
    throw await this.#judge(answer, undefined);
  }

  /** False when the server turned out to have no ranges after all. */
  async #fetchAll(
    spans: readonly FetchSpan[],
    rangesMax: number,
    place: (span: FetchSpan, piece: Piece) => void,
    signal: AbortSignal,
  ): Promise<boolean> {
    const requests = packRequests(spans, rangesMax);
    const complete = await Promise.all(requests.map((request) => this.#fetch(request, place, signal)));
    return complete.every((done) => done);
  }

  async #fetch(
    spans: readonly FetchSpan[],
    place: (span: FetchSpan, piece: Piece) => void,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { identity } = await this.#open(signal);
    let answer: HttpAnswer;
    try {
      answer = await this.#send({ range: rangeHeader(spans) }, signal);
    } catch (error) {
      if (diedOfRanges(error)) this.#client.host(this.#target).stepDown(spans.length);
      throw error;
    }
    const { host, statusCode } = answer;
    if (statusCode === 206) {
      checkIdentity(answer, identity);
      const missing = await this.#readParts(answer, spans, place, signal);
      if (missing.length === 0) return true;
      host.stepDown(spans.length);
      return this.#fetchAll(missing, host.rangesPerRequest, place, signal);
    }
    if (statusCode === 200) {
      answer.body.destroy();
      checkIdentity(answer, identity);
    } else if (spans.length > 1 && TOO_MANY_RANGES.has(statusCode)) {
      await discard(answer);
    } else {
      throw await this.#judge(answer, identity);
    }
    if (!host.stepDown(spans.length)) return false;
    return this.#fetchAll(spans, host.rangesPerRequest, place, signal);
  }

  /** Hands on the pieces of a 206 answer and returns the spans that were not in it. */
  async #readParts(
    answer: HttpAnswer,
    spans: readonly FetchSpan[],
    place: (span: FetchSpan, piece: Piece) => void,
    signal: AbortSignal,
  ): Promise<FetchSpan[]> {
    const boundary = tryMultipartBoundary(answer.headers['content-type']);
    const pieces: Piece[] = [];
    if (boundary === undefined) {
      const range = tryContentRange(answer.headers['content-range']);
      const wanted = spans.some((span) => range !== undefined && covers(range, span));
      if (range === undefined || !wanted) {
        answer.body.destroy();
        if (spans.length > 1) return [...spans];
        throw this.#corrupt(answer, `asked ${rangeHeader(spans)}, answered ${answer.headers['content-range']}`);
      }
      pieces.push({ ...range, bytes: await collectExactly(this.#client, answer, range.lengthBytes, signal) });
    } else {
      const outcome = parseMultipartByteranges(await collectBody(this.#client, answer, spans, signal), boundary);
      if (outcome.kind === 'malformed') {
        if (spans.length > 1) return [...spans];
        throw this.#corrupt(answer, `the multipart answer is malformed: ${outcome.problem}`);
      }
      for (const { range, bytes } of outcome.parts) pieces.push({ ...range, bytes });
    }
    const missing: FetchSpan[] = [];
    for (const span of spans) {
      const piece = pieces.find((candidate) => covers(candidate, span));
      if (piece === undefined) missing.push(span);
      else place(span, piece);
    }
    if (missing.length > 0 && spans.length === 1)
      throw this.#corrupt(answer, `${rangeHeader(spans)} is not in the answer`);
    return missing;
  }

  #readSequentially(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]> {
    this.#sequential ??= new SequentialReader(this.place, (abort) => this.stream(0, abort));
    return this.#sequential.readMany(ranges, signal);
  }

  /** Goes where redirects led last time, and back to the beginning when that place no longer answers. */
  async #send(headers: HttpHeaders, signal: AbortSignal): Promise<HttpAnswer> {
    const target = this.#target;
    const all = { ...headers, 'accept-encoding': 'identity' };
    let answer: HttpAnswer;
    try {
      answer = await this.#client.send({ url: target, headers: all, signal });
      if (target !== this.#url && TARGET_GONE.has(answer.statusCode)) {
        await discard(answer);
        answer = await this.#client.send({ url: this.#url, headers: all, signal });
      }
    } catch (error) {
      this.#target = this.#url;
      throw error;
    }
    if (answer.url.href !== this.#target.href) this.#target = answer.url;
    return answer;
  }

  /** The error for an answer that is neither 200 nor 206. */
  async #judge(answer: HttpAnswer, identity: SourceIdentity | undefined): Promise<GranuleError> {
    await discard(answer);
    if (answer.statusCode === 416 && identity?.sizeBytes !== undefined) {
      const totalBytes = tryUnsatisfiedTotal(answer.headers['content-range']);
      if (totalBytes !== undefined && totalBytes !== identity.sizeBytes) {
        return changed(answer.url, `it had ${identity.sizeBytes} bytes and now has ${totalBytes}`);
      }
    }
    return refused(answer.url, answer.statusCode);
  }

  #checkEnd(ranges: readonly ByteRange[], { sizeBytes }: SourceIdentity): void {
    if (sizeBytes === undefined) return;
    for (const range of ranges) {
      if (endOf(range) <= sizeBytes) continue;
      throw corrupt(this.#url, `it has ${sizeBytes} bytes, but bytes up to ${endOf(range) - 1} are wanted`);
    }
  }

  #corrupt(answer: HttpAnswer, problem: string): unknown {
    return this.#client.failure(corrupt(answer.url, problem), answer.url, NEVER);
  }
}

/** A signal that is never aborted: the failure is the server's. */
const NEVER = new AbortController().signal;

/** Hosts that cannot take many ranges show it by cutting the connection or by an internal error. */
function diedOfRanges(error: unknown): boolean {
  if (!isGranuleError(error)) return false;
  const { status, syscall } = error.details;
  return status === 500 || syscall === 'UND_ERR_SOCKET' || syscall === 'ECONNRESET';
}

function covers(outer: ByteRange, inner: ByteRange): boolean {
  return outer.offsetBytes <= inner.offsetBytes && endOf(outer) >= endOf(inner);
}
