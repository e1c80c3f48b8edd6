/** `GET …/content`: a file's bytes as they lie, whole or by ranges (RFC 9110, section 14), several in one answer. */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { SERVED_CHUNK_BYTES, SERVED_RANGES_MAX } from '../../core/limits.ts';
import { type ByteRange, type ByteSource, endOf } from '../remote/byte-source.ts';
import type { ServedFile, ServedFiles } from './served-files.ts';

const never = new AbortController().signal;

export async function serveContent(
  files: ServedFiles,
  file: ServedFile,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { sizeBytes, sha256 } = file.record;
  const etag = `"${sha256}"`;
  reply.header('etag', etag).header('accept-ranges', 'bytes');
  reply.header('repr-digest', `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`);
  if (request.headers['if-none-match'] === etag) return reply.code(304).send();
  const ifRange = request.headers['if-range'];
  const header = ifRange === undefined || ifRange === etag ? request.headers.range : undefined;
  const ranges = header === undefined ? undefined : tryRanges(header, sizeBytes);
  if (ranges === undefined) {
    reply.header('content-length', sizeBytes).type('application/octet-stream');
    if (request.method === 'HEAD') return reply.send();
    return sendRange(files, file, { offsetBytes: 0, lengthBytes: sizeBytes }, reply);
  }
  const [only] = ranges;
  if (only === undefined) return reply.code(416).header('content-range', `bytes */${sizeBytes}`).send();
  reply.code(206);
  if (ranges.length > 1) return sendMultipart(files, file, ranges, reply);
  reply.header('content-range', `bytes ${only.offsetBytes}-${endOf(only) - 1}/${sizeBytes}`);
  reply.header('content-length', only.lengthBytes).type('application/octet-stream');
  return sendRange(files, file, only, reply);
}

/** A short range is read and sent in one go; a long one is streamed. */
async function sendRange(
  files: ServedFiles,
  file: ServedFile,
  range: ByteRange,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (range.lengthBytes <= SERVED_CHUNK_BYTES) {
    return reply.send(await files.use(file, (source) => source.read(range, never)));
  }
  return reply.send(toStream(files.stream(file, (source) => chunksOf(source, range))));
}

async function* chunksOf(source: ByteSource, range: ByteRange): AsyncGenerator<Uint8Array> {
  for (let at = range.offsetBytes; at < endOf(range); at += SERVED_CHUNK_BYTES) {
    yield await source.read({ offsetBytes: at, lengthBytes: Math.min(SERVED_CHUNK_BYTES, endOf(range) - at) }, never);
  }
}

function sendMultipart(
  files: ServedFiles,
  file: ServedFile,
  ranges: readonly ByteRange[],
  reply: FastifyReply,
): FastifyReply {
  const boundary = randomBytes(12).toString('hex');
  const heads = ranges.map((range, index) => {
    const contentRange = `bytes ${range.offsetBytes}-${endOf(range) - 1}/${file.record.sizeBytes}`;
    return Buffer.from(`${index === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Range: ${contentRange}\r\n\r\n`);
  });
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const bodyBytes = ranges.reduce((sum, range, index) => sum + range.lengthBytes + (heads[index]?.length ?? 0), 0);
  reply.type(`multipart/byteranges; boundary=${boundary}`).header('content-length', bodyBytes + tail.length);
  const parts = files.stream(file, async function* parts(source) {
    for (const [index, range] of ranges.entries()) {
      yield heads[index] ?? tail;
      yield* chunksOf(source, range);
    }
    yield tail;
  });
  return reply.send(toStream(parts));
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
