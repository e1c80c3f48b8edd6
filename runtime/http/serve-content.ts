/** `GET …/content`: a file's bytes as they lie, whole or by ranges (RFC 9110, section 14), several in one answer. */
import { randomBytes } from 'node:crypto';
import type { OutgoingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { SERVED_CHUNK_BYTES, SERVED_RANGES_MAX } from '../../core/limits.ts';
import { type ByteRange, endOf } from '../remote/byte-source.ts';
import type { LocalSource } from '../remote/local-source.ts';
import { type Segment, sendSegments } from './send-segments.ts';
import type { ServedFile, ServedFiles } from './served-files.ts';

export async function serveContent(
  files: ServedFiles,
  file: ServedFile,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { sizeBytes, sha256 } = file.record;
  const etag = `"${sha256}"`;
  const headers = {
    etag,
    'accept-ranges': 'bytes',
    'repr-digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
    'content-type': 'application/octet-stream',
  };
  if (request.headers['if-none-match'] === etag) return reply.headers(headers).code(304).send();
  const ifRange = request.headers['if-range'];
  const header = ifRange === undefined || ifRange === etag ? request.headers.range : undefined;
  const ranges = header === undefined ? undefined : tryRanges(header, sizeBytes);
  const answer = (status: number, segments: readonly Segment[], more: OutgoingHttpHeaders): Promise<FastifyReply> =>
    files.use(file, (source) => send(source, { status, segments, headers: { ...headers, ...more } }, reply));
  if (ranges === undefined) return answer(200, [{ offsetBytes: 0, lengthBytes: sizeBytes }], {});
  const [only, second] = ranges;
  if (only === undefined) {
    return reply
      .headers({ ...headers, 'content-range': `bytes */${sizeBytes}` })
      .code(416)
      .send();
  }
  if (second === undefined) return answer(206, [only], { 'content-range': contentRange(only, sizeBytes) });
  const boundary = randomBytes(12).toString('hex');
  const type = { 'content-type': `multipart/byteranges; boundary=${boundary}` };
  return answer(206, multipartSegments(ranges, sizeBytes, boundary), type);
}

function multipartSegments(ranges: readonly ByteRange[], sizeBytes: number, boundary: string): Segment[] {
  const segments: Segment[] = [];
  for (const range of ranges) {
    const head = `\r\n--${boundary}\r\nContent-Range: ${contentRange(range, sizeBytes)}\r\n\r\n`;
    segments.push(Buffer.from(head, 'latin1'), range);
  }
  segments.push(Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1'));
  return segments;
}

function contentRange(range: ByteRange, sizeBytes: number): string {
  return `bytes ${range.offsetBytes}-${endOf(range) - 1}/${sizeBytes}`;
}

interface Answer {
  readonly status: number;
  /** without the length */
  readonly headers: OutgoingHttpHeaders;
  readonly segments: readonly Segment[];
}

/** Past fastify: its streams would copy, and allocate for each chunk, and its headers cost as much as Node's. */
async function send(
  source: LocalSource,
  { status, headers, segments }: Answer,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const lengthBytes = segments.reduce(
    (sum, part) => sum + (part instanceof Uint8Array ? part.length : part.lengthBytes),
    0,
  );
  reply.hijack();
  reply.raw.writeHead(status, { ...headers, 'content-length': lengthBytes });
  if (reply.request.method === 'HEAD') reply.raw.end();
  else await sendSegments(reply.raw, (target, offsetBytes) => source.readInto(target, offsetBytes), segments);
  return reply;
}

export function toStream(chunks: AsyncIterable<Uint8Array>): Readable {
  return Readable.from(chunks, { objectMode: false, highWaterMark: SERVED_CHUNK_BYTES });
}

/** The satisfiable ranges; undefined for a header that is to be ignored: malformed, of another unit, or too much. */
function tryRanges(header: string, sizeBytes: number): ByteRange[] | undefined {
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
