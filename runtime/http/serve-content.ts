/** `GET …/content`: a file's bytes as they lie, whole or by ranges (RFC 9110, section 14), several in one answer. */
import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FileRecord } from '../../core/file-index.ts';
import { SERVED_CHUNK_BYTES, SERVED_RANGES_MAX } from '../../core/limits.ts';
import { type ByteRange, endOf } from '../remote/byte-source.ts';
import { type AnswerHead, type Segment, sendSegments, trySendAtOnce, writeHead } from './send-segments.ts';
import type { ServedFile, ServedFiles } from './served-files.ts';

/** What answers a request for a file's bytes: no segments for an answer without any. */
interface Answer {
  readonly head: AnswerHead;
  readonly segments: readonly Segment[];
}

/**
 * Answers past fastify: its streams would copy, and allocate for each chunk, and its headers cost as much as Node's.
 *
 * @returns undefined when the answer is with Node already. Rejects as {@link ServedFiles.use} does, before anything is
 *   written; or when the file cannot be read, which cuts off what has been written.
 */
export function serveContent(
  files: ServedFiles,
  file: ServedFile,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> | undefined {
  const { head, segments } = answerTo(file.record, request.headers);
  const response = reply.raw;
  const [first, second] = segments;
  if (first === undefined) {
    reply.hijack();
    writeHead(response, head);
    response.end();
    return undefined;
  }
  const isHead = request.method === 'HEAD';
  const source = files.peek(file);
  const isOneRange = second === undefined && !(first instanceof Uint8Array);
  if (source !== undefined && isOneRange && !isHead && trySendAtOnce(response, head, source, first)) {
    reply.hijack();
    return undefined;
  }
  return files.use(file, async (lent) => {
    reply.hijack();
    if (!isHead) return sendSegments(response, head, lent, segments);
    writeHead(response, head);
    response.end();
  });
}

function answerTo(record: FileRecord, asked: IncomingHttpHeaders): Answer {
  const { sizeBytes } = record;
  const { etag, headers } = contentHeadersOf(record);
  if (asked['if-none-match'] === etag) return { head: { status: 304, headers }, segments: [] };
  const ifRange = asked['if-range'];
  const header = ifRange === undefined || ifRange === etag ? asked.range : undefined;
  const ranges = header === undefined ? undefined : tryRanges(header, sizeBytes);
  if (ranges === undefined) {
    const all = { offsetBytes: 0, lengthBytes: sizeBytes };
    return { head: { status: 200, headers: [...headers, 'content-length', sizeBytes] }, segments: [all] };
  }
  const [only, second] = ranges;
  if (only === undefined) {
    const more = ['content-range', `bytes */${sizeBytes}`, 'content-length', 0];
    return { head: { status: 416, headers: [...headers, ...more] }, segments: [] };
  }
  if (second === undefined) {
    const more = ['content-range', contentRange(only, sizeBytes), 'content-length', only.lengthBytes];
    return { head: { status: 206, headers: [...headers, ...more] }, segments: [only] };
  }
  return multipartAnswer(record, ranges);
}

function multipartAnswer(record: FileRecord, ranges: readonly ByteRange[]): Answer {
  const boundary = randomBytes(12).toString('hex');
  const segments: Segment[] = [];
  for (const range of ranges) {
    const head = `\r\n--${boundary}\r\nContent-Range: ${contentRange(range, record.sizeBytes)}\r\n\r\n`;
    segments.push(Buffer.from(head, 'latin1'), range);
  }
  segments.push(Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1'));
  const lengthBytes = segments.reduce(
    (sum, part) => sum + (part instanceof Uint8Array ? part.length : part.lengthBytes),
    0,
  );
  const { headers } = contentHeaders(record, `multipart/byteranges; boundary=${boundary}`);
  return { head: { status: 206, headers: [...headers, 'content-length', lengthBytes] }, segments };
}

/** What all answers about a file's content have in common. */
interface ContentHeaders {
  readonly etag: string;
  readonly headers: AnswerHead['headers'];
}

/** Made once a file: they are the same in every answer. */
const knownHeaders = new WeakMap<FileRecord, ContentHeaders>();

function contentHeadersOf(record: FileRecord): ContentHeaders {
  let known = knownHeaders.get(record);
  if (known === undefined) {
    known = contentHeaders(record, 'application/octet-stream');
    knownHeaders.set(record, known);
  }
  return known;
}

function contentHeaders({ sha256 }: FileRecord, contentType: string): ContentHeaders {
  const etag = `"${sha256}"`;
  const digest = `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`;
  const headers = ['etag', etag, 'accept-ranges', 'bytes', 'repr-digest', digest, 'content-type', contentType];
  return { etag, headers };
}

function contentRange(range: ByteRange, sizeBytes: number): string {
  return `bytes ${range.offsetBytes}-${endOf(range) - 1}/${sizeBytes}`;
}

export function toStream(chunks: AsyncIterable<Uint8Array>): Readable {
  return Readable.from(chunks, { objectMode: false, highWaterMark: SERVED_CHUNK_BYTES });
}

/** The satisfiable ranges; undefined for a header that is to be ignored: malformed, of another unit, or too much. */
function tryRanges(header: string, sizeBytes: number): ByteRange[] | undefined {
  // What nearly every request is.
  const plain = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header);
  if (plain !== null) {
    const offsetBytes = Number(plain[1]);
    const end = Math.min(sizeBytes, Number(plain[2]) + 1);
    if (offsetBytes < end) return [{ offsetBytes, lengthBytes: end - offsetBytes }];
  }
  const match = /^\s*bytes\s*=(.*)$/i.exec(header);
  const items = (match?.[1] ?? '').split(',');
  if (match === null || items.length > SERVED_RANGES_MAX) return undefined;
  const ranges: ByteRange[] = [];
  for (const item of items) {
    const [, first = '', last = ''] = /^\s*(\d{0,15})\s*-\s*(\d{0,15})\s*$/.exec(item) ?? [];
    if (first === '' && last === '') return undefined;
    const offsetBytes = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first);
    const end = first === '' || last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
    if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
    if (offsetBytes < end) ranges.push({ offsetBytes, lengthBytes: end - offsetBytes });
  }
  // Overlapping ranges that come to more than the file are an attack or a mistake (RFC 9110, 14.2).
  return ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0) > sizeBytes ? undefined : ranges;
}
