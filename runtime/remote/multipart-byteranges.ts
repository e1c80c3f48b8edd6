/** Answers to requests for several ranges: `multipart/byteranges` bodies (RFC 9110, 14.6). */
import { type ContentRange, tryContentRange } from './range-plan.ts';

export interface RangePart {
  readonly range: ContentRange;
  /** a view of the body */
  readonly bytes: Uint8Array;
}

export type MultipartOutcome =
  | { readonly kind: 'parts'; readonly parts: readonly RangePart[] }
  | { readonly kind: 'malformed'; readonly problem: string };

/** The boundary of a multipart/byteranges content type; undefined for other types. */
export function tryMultipartBoundary(contentType: string | undefined): string | undefined {
  const match = /^\s*multipart\/byteranges\s*;.*?\bboundary\s*=\s*(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(
    contentType ?? '',
  );
  return match?.[1] ?? match?.[2];
}

/** Each part is cut by the length its `Content-Range` states, so that a boundary within the data does no harm. */
export function parseMultipartByteranges(body: Uint8Array, boundary: string): MultipartOutcome {
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const delimiter = Buffer.from(`--${boundary}`, 'latin1');
  const parts: RangePart[] = [];
  let at = buffer.indexOf(delimiter);
  if (at < 0) return malformed('it does not hold its boundary');
  for (;;) {
    at += delimiter.length;
    if (buffer.subarray(at, at + 2).equals(CLOSE)) return { kind: 'parts', parts };
    const head = findHeaderEnd(buffer, at);
    if (head === undefined) return malformed(`the header of part ${parts.length + 1} does not end`);
    const range = contentRangeOf(buffer.toString('latin1', at, head.endBytes));
    if (range === undefined) return malformed(`part ${parts.length + 1} has no valid Content-Range`);
    const end = head.bodyBytes + range.lengthBytes;
    if (end > buffer.length) return malformed(`part ${parts.length + 1} is cut off`);
    parts.push({ range, bytes: body.subarray(head.bodyBytes, end) });
    at = end + head.newline.length;
    const closed = buffer.subarray(end, at).equals(head.newline);
    if (!closed || !buffer.subarray(at, at + delimiter.length).equals(delimiter)) {
      return malformed(`part ${parts.length} does not end where its Content-Range says`);
    }
  }
}

const CLOSE = Buffer.from('--', 'latin1');
const CR = 13;
const LF = 10;
const CRLF_BYTES = Buffer.from('\r\n', 'latin1');
const LF_BYTES = Buffer.from('\n', 'latin1');
/** The header of a part is a few lines; more is not a header. */
const PART_HEADER_BYTES_MAX = 8192;

interface PartHead {
  /** end of the last header line */
  readonly endBytes: number;
  /** first byte of the data */
  readonly bodyBytes: number;
  /** what ends the data too: a lone line feed where the headers use it */
  readonly newline: Buffer;
}

function findHeaderEnd(buffer: Buffer, from: number): PartHead | undefined {
  const limit = Math.min(buffer.length, from + PART_HEADER_BYTES_MAX);
  for (let at = buffer.indexOf(LF, from); at >= 0 && at < limit; at = buffer.indexOf(LF, at + 1)) {
    if (buffer[at + 1] === LF) return { endBytes: at, bodyBytes: at + 2, newline: LF_BYTES };
    if (buffer[at + 1] === CR && buffer[at + 2] === LF) {
      return { endBytes: at, bodyBytes: at + 3, newline: CRLF_BYTES };
    }
  }
  return undefined;
}

function contentRangeOf(header: string): ContentRange | undefined {
  return tryContentRange(/^content-range:(.*)$/im.exec(header)?.[1]);
}

function malformed(problem: string): MultipartOutcome {
  return { kind: 'malformed', problem };
}
