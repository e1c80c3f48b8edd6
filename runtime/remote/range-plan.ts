/** How byte ranges become requests: which neighbours are merged, and how many ranges travel together. Pure functions. */
import {
  REMOTE_GAP_BYTES_MAX,
  REMOTE_GAP_WASTE_MAX,
  REMOTE_PART_OVERHEAD_BYTES,
  REMOTE_RANGE_HEADER_CHARS_MAX,
  REMOTE_REQUEST_BYTES_MAX,
} from '../../core/limits.ts';
import { type ByteRange, endOf } from './byte-source.ts';

/** Bytes fetched in one piece, and the places (in the caller's list) of the ranges that lie in it. */
export interface FetchSpan extends ByteRange {
  readonly members: readonly number[];
}

interface GrowingSpan {
  offsetBytes: number;
  endBytes: number;
  members: number[];
}

/**
 * Sorted, disjoint spans that cover all non-empty ranges. Overlapping and touching ranges are merged, and those closer
 * than the header of a multipart part. Larger gaps, up to `REMOTE_GAP_BYTES_MAX`, are closed smallest first while what
 * they waste stays below `REMOTE_GAP_WASTE_MAX` of what is needed; all of them with `generous`, for hosts that take
 * few ranges a request, where a round trip costs more than the bytes.
 */
export function coalesce(ranges: readonly ByteRange[], generous: boolean): FetchSpan[] {
  const spans = mergeClose(ranges, REMOTE_PART_OVERHEAD_BYTES);
  const gaps = spans
    .slice(1)
    .map((span, index) => ({ index, bytes: span.offsetBytes - (spans[index]?.endBytes ?? 0) }));
  const closed = new Set<number>();
  let budget = generous
    ? Number.POSITIVE_INFINITY
    : REMOTE_GAP_WASTE_MAX * spans.reduce((sum, span) => sum + span.endBytes - span.offsetBytes, 0);
  for (const gap of gaps.filter(({ bytes }) => bytes <= REMOTE_GAP_BYTES_MAX).sort((a, b) => a.bytes - b.bytes)) {
    if (gap.bytes > budget) break;
    budget -= gap.bytes;
    closed.add(gap.index);
  }
  const merged: GrowingSpan[] = [];
  for (const [index, span] of spans.entries()) {
    const last = merged.at(-1);
    if (last !== undefined && closed.has(index - 1)) {
      last.endBytes = span.endBytes;
      for (const member of span.members) last.members.push(member);
    } else {
      merged.push(span);
    }
  }
  return merged.map(({ offsetBytes, endBytes, members }) => ({
    offsetBytes,
    lengthBytes: endBytes - offsetBytes,
    members,
  }));
}

function mergeClose(ranges: readonly ByteRange[], gapBytes: number): GrowingSpan[] {
  const order = ranges.map((range, member) => ({ range, member })).filter(({ range }) => range.lengthBytes > 0);
  order.sort((a, b) => a.range.offsetBytes - b.range.offsetBytes);
  const spans: GrowingSpan[] = [];
  for (const { range, member } of order) {
    const last = spans.at(-1);
    if (last !== undefined && range.offsetBytes - last.endBytes <= gapBytes) {
      last.endBytes = Math.max(last.endBytes, endOf(range));
      last.members.push(member);
    } else {
      spans.push({ offsetBytes: range.offsetBytes, endBytes: endOf(range), members: [member] });
    }
  }
  return spans;
}

/** Groups spans, in order, into requests within the limits of ranges, header length and bytes. None is ever split. */
export function packRequests(spans: readonly FetchSpan[], rangesMax: number): FetchSpan[][] {
  const requests: FetchSpan[][] = [];
  let request: FetchSpan[] = [];
  let headerChars = 0;
  let bytes = 0;
  for (const span of spans) {
    const chars = formatRange(span).length + 1;
    const full =
      request.length >= rangesMax ||
      headerChars + chars > REMOTE_RANGE_HEADER_CHARS_MAX ||
      bytes + span.lengthBytes > REMOTE_REQUEST_BYTES_MAX;
    if (full && request.length > 0) {
      requests.push(request);
      request = [];
      headerChars = 0;
      bytes = 0;
    }
    request.push(span);
    headerChars += chars;
    bytes += span.lengthBytes;
  }
  if (request.length > 0) requests.push(request);
  return requests;
}

/** The value of a `Range` header (RFC 9110, 14.2): first and last byte, both included. */
export function rangeHeader(spans: readonly ByteRange[]): string {
  return `bytes=${spans.map(formatRange).join(',')}`;
}

function formatRange(span: ByteRange): string {
  return `${span.offsetBytes}-${endOf(span) - 1}`;
}

/** A `Content-Range` header (RFC 9110, 14.4). `total` is undefined when the server does not know it. */
export interface ContentRange extends ByteRange {
  readonly totalBytes: number | undefined;
}

/** Undefined for anything that is not `bytes first-last/total` with sensible numbers. */
export function tryContentRange(text: string | undefined): ContentRange | undefined {
  const match = /^\s*bytes\s+(\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)\s*$/i.exec(text ?? '');
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2]);
  const totalBytes = match[3] === '*' ? undefined : Number(match[3]);
  if (last < first || (totalBytes !== undefined && last >= totalBytes)) return undefined;
  return { offsetBytes: first, lengthBytes: last - first + 1, totalBytes };
}

/** The total of an unsatisfied range, `bytes *\/total`; undefined when the header says none. */
export function tryUnsatisfiedTotal(text: string | undefined): number | undefined {
  const match = /^\s*bytes\s+\*\/(\d{1,15})\s*$/i.exec(text ?? '');
  return match === null ? undefined : Number(match[1]);
}
