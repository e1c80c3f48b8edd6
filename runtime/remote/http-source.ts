/**
 * A file behind HTTP(S) as a {@link ByteSource}: range requests, several ranges in one where the host can, fewer where it
 * cannot (200 -> 50 -> 20 -> 5 -> 1, remembered per host), and one sequential pass where it has no ranges at all.
 * Nothing is tried twice here; `ReplicaSet` does that.
 */
import { isGranuleError } from '../../core/errors.ts';
import { REMOTE_GENEROUS_RANGES } from '../../core/limits.ts';
import { abortable } from './abortable.ts';
import { type ByteRange, type ByteSource, endOf, type SourceIdentity } from './byte-source.ts';
import { collectBody, collectExactly, streamBody } from './http-body.ts';
import { discard, type HttpAnswer, type HttpClient } from './http-client.ts';
import { corrupt, IdentityPin } from './http-identity.ts';
import { askChecksums, judgeAnswer, type OpenedFile, probeFile } from './http-probe.ts';
import { HttpTarget } from './http-target.ts';
import { parseMultipartByteranges, tryMultipartBoundary } from './multipart-byteranges.ts';
import { showUrl } from './place.ts';
import { coalesce, type FetchSpan, packRequests, rangeHeader, tryContentRange } from './range-plan.ts';
import { SequentialReader } from './sequential-reader.ts';

/** Statuses of servers that choke on a long list of ranges; of a single range they would be a refusal. */
const TOO_MANY_RANGES = new Set([400, 413, 414, 416, 431, 501]);

/** One piece of a file as it came: exactly what its span says, or a wider piece around it. */
interface Piece extends ByteRange {
  readonly bytes: Uint8Array;
}

export interface HttpSourceOptions {
  /** whether `open` asks the server for checksums of the file, which it may have to compute */
  readonly askChecksums?: boolean;
  /** spares reads the round trip of `open`: the size is checked on every answer anyway */
  readonly expectedSizeBytes?: number;
}

export class HttpSource implements ByteSource {
  readonly place: string;
  readonly #target: HttpTarget;
  readonly #options: HttpSourceOptions;
  readonly #pin: IdentityPin;
  #opened: Promise<OpenedFile> | undefined;
  /** what `#opened` resolved to */
  #known: OpenedFile | undefined;
  readonly #closing = new AbortController();
  #sequential: SequentialReader | undefined;

  constructor(client: HttpClient, url: URL, options: HttpSourceOptions = {}) {
    this.#target = new HttpTarget(client, url);
    this.#options = options;
    this.#pin = new IdentityPin(options.expectedSizeBytes);
    this.place = showUrl(url);
  }

  /** What the host that serves the file now is expected to take. */
  expectedMs(sizeBytes: number, nowMs: number): number {
    return this.#target.host.expectedMs(sizeBytes, nowMs);
  }

  async open(signal: AbortSignal): Promise<SourceIdentity> {
    return (await this.#open(signal)).identity;
  }

  async read(range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const [bytes] = await this.readMany([range], signal);
    return bytes ?? new Uint8Array(0);
  }

  async readMany(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]> {
    const { identity, acceptsRanges } = await this.#openOrAssume(signal);
    this.#checkEnd(ranges, identity);
    if (!acceptsRanges || this.#sequential !== undefined) return this.#readSequentially(ranges, signal);
    const rangesMax = this.#target.host.rangesPerRequest;
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
    const { identity, acceptsRanges } = await this.#openOrAssume(signal);
    if (identity.sizeBytes !== undefined && offsetBytes >= identity.sizeBytes) return;
    const byRange = offsetBytes > 0 && acceptsRanges && this.#sequential === undefined;
    // An end is named where it is known: XRootD (seen in 5.5) answers an open one with a Content-Range that is none.
    const lastByte = identity.sizeBytes === undefined ? '' : identity.sizeBytes - 1;
    const answer = await this.#target.send(byRange ? { Range: `bytes=${offsetBytes}-${lastByte}` } : {}, signal);
    let skipBytes = offsetBytes;
    if (answer.statusCode === 206) {
      const range = tryContentRange(answer.headers['content-range']);
      if (range?.offsetBytes !== offsetBytes) {
        answer.body.destroy();
        throw this.#target.corrupt(
          answer,
          `asked from byte ${offsetBytes}, answered ${answer.headers['content-range']}`,
        );
      }
      skipBytes = 0;
    } else if (answer.statusCode !== 200) {
      throw await judgeAnswer(answer, identity);
    }
    this.#pin.check(answer);
    let at = offsetBytes - skipBytes;
    for await (const chunk of streamBody(this.#target.client, answer, signal)) {
      at += chunk.length;
      if (at > offsetBytes)
        yield at - chunk.length >= offsetBytes ? chunk : chunk.subarray(chunk.length - (at - offsetBytes));
    }
    if (identity.sizeBytes !== undefined && at !== identity.sizeBytes) {
      throw this.#target.corrupt(answer, `the file ends at byte ${at} of ${identity.sizeBytes}`);
    }
  }

  async close(): Promise<void> {
    const reason = corrupt(this.#target.url, 'the source was closed');
    this.#closing.abort(reason);
    await this.#sequential?.close(reason);
  }

  #open(signal: AbortSignal): Promise<OpenedFile> {
    this.#opened ??= this.#openFile(this.#closing.signal).catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return abortable(this.#opened, signal);
  }

  async #openFile(signal: AbortSignal): Promise<OpenedFile> {
    let opened = await probeFile(this.#target, signal);
    if (this.#options.askChecksums === true) {
      opened = { ...opened, identity: await askChecksums(this.#target, opened.identity, signal) };
    }
    this.#pin.agree(opened.identity, this.#target.url);
    this.#known = opened;
    return opened;
  }

  /** Reads go ahead on the assumption that a file of known size is there, in ranges; the answers tell. */
  async #openOrAssume(signal: AbortSignal): Promise<OpenedFile> {
    const { expectedSizeBytes } = this.#options;
    if (this.#known !== undefined) return this.#known;
    if (expectedSizeBytes === undefined) return this.#open(signal);
    return { identity: { sizeBytes: expectedSizeBytes, validator: undefined, checksums: [] }, acceptsRanges: true };
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
    let answer: HttpAnswer;
    try {
      answer = await this.#target.send({ Range: rangeHeader(spans) }, signal);
    } catch (error) {
      if (diedOfRanges(error)) this.#target.host.stepDown(spans.length);
      throw error;
    }
    const { host, statusCode } = answer;
    if (statusCode === 206) {
      this.#pin.check(answer);
      const missing = await this.#readParts(answer, spans, place, signal);
      if (missing.length === 0) return true;
      host.stepDown(spans.length);
      return this.#fetchAll(missing, host.rangesPerRequest, place, signal);
    }
    if (statusCode === 200) {
      answer.body.destroy();
      this.#pin.check(answer);
    } else if (spans.length > 1 && TOO_MANY_RANGES.has(statusCode)) {
      await discard(answer);
    } else {
      throw await judgeAnswer(answer, this.#known?.identity);
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
        throw this.#target.corrupt(answer, `asked ${rangeHeader(spans)}, answered ${answer.headers['content-range']}`);
      }
      pieces.push({ ...range, bytes: await collectExactly(this.#target.client, answer, range.lengthBytes, signal) });
    } else {
      const outcome = parseMultipartByteranges(await collectBody(this.#target.client, answer, spans, signal), boundary);
      if (outcome.kind === 'malformed') {
        if (spans.length > 1) return [...spans];
        throw this.#target.corrupt(answer, `the multipart answer is malformed: ${outcome.problem}`);
      }
      for (const { range, bytes } of outcome.parts) {
        this.#pin.agree({ sizeBytes: range.totalBytes, validator: undefined }, answer.url);
        pieces.push({ ...range, bytes });
      }
    }
    const missing: FetchSpan[] = [];
    for (const span of spans) {
      const piece = pieces.find((candidate) => covers(candidate, span));
      if (piece === undefined) missing.push(span);
      else place(span, piece);
    }
    if (missing.length > 0 && spans.length === 1)
      throw this.#target.corrupt(answer, `${rangeHeader(spans)} is not in the answer`);
    return missing;
  }

  #readSequentially(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]> {
    this.#sequential ??= new SequentialReader(this.place, (abort) => this.stream(0, abort));
    return this.#sequential.readMany(ranges, signal);
  }

  #checkEnd(ranges: readonly ByteRange[], { sizeBytes }: SourceIdentity): void {
    if (sizeBytes === undefined) return;
    for (const range of ranges) {
      if (endOf(range) <= sizeBytes) continue;
      throw corrupt(this.#target.url, `it has ${sizeBytes} bytes, but bytes up to ${endOf(range) - 1} are wanted`);
    }
  }
}

/** Hosts that cannot take many ranges show it by cutting the connection or by an internal error. */
function diedOfRanges(error: unknown): boolean {
  if (!isGranuleError(error)) return false;
  const { status, syscall } = error.details;
  return status === 500 || syscall === 'UND_ERR_SOCKET' || syscall === 'ECONNRESET';
}

function covers(outer: ByteRange, inner: ByteRange): boolean {
  return outer.offsetBytes <= inner.offsetBytes && endOf(outer) >= endOf(inner);
}
