/** How byte ranges become requests. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REMOTE_RANGE_HEADER_CHARS_MAX, REMOTE_REQUEST_BYTES_MAX } from '../../../core/limits.ts';
import { endOf } from '../../../runtime/remote/byte-source.ts';
import {
  coalesce,
  packRequests,
  rangeHeader,
  tryContentRange,
  tryUnsatisfiedTotal,
} from '../../../runtime/remote/range-plan.ts';

const anyRanges = fc.array(
  fc.record({ offsetBytes: fc.integer({ min: 0, max: 2 ** 40 }), lengthBytes: fc.integer({ min: 0, max: 2 ** 20 }) }),
  { maxLength: 300 },
);

describe('coalesce', () => {
  it('covers every range with sorted, disjoint spans', () => {
    fc.assert(
      fc.property(anyRanges, fc.boolean(), (ranges, generous) => {
        const spans = coalesce(ranges, generous);
        for (const [index, span] of spans.entries()) {
          expect(span.offsetBytes).toBeGreaterThan(index === 0 ? -1 : endOf(spans[index - 1] ?? span));
          for (const member of span.members) {
            const range = ranges[member] ?? { offsetBytes: -1, lengthBytes: 0 };
            expect(range.offsetBytes).toBeGreaterThanOrEqual(span.offsetBytes);
            expect(endOf(range)).toBeLessThanOrEqual(endOf(span));
          }
        }
        const members = spans.flatMap((span) => span.members).sort((a, b) => a - b);
        expect(members).toEqual([...ranges.keys()].filter((key) => (ranges[key]?.lengthBytes ?? 0) > 0));
      }),
    );
  });

  it('makes one span of neighbouring events', () => {
    const events = Array.from({ length: 100 }, (_, index) => ({ offsetBytes: 1000 + index * 50, lengthBytes: 50 }));
    expect(coalesce(events, false)).toMatchObject([{ offsetBytes: 1000, lengthBytes: 5000 }]);
  });

  it('wastes no more than promised on gaps, unless told that round trips are dearer', () => {
    const everySecond = Array.from({ length: 100 }, (_, index) => ({
      offsetBytes: index * 20_000,
      lengthBytes: 10_000,
    }));
    const fetched = coalesce(everySecond, false).reduce((sum, span) => sum + span.lengthBytes, 0);
    expect(fetched).toBeLessThan(1.05 * 100 * 10_000);
    expect(coalesce(everySecond, true)).toHaveLength(1);
    const far = [0, 100_000].map((offsetBytes) => ({ offsetBytes, lengthBytes: 10 }));
    expect(coalesce(far, true)).toHaveLength(2);
  });
});

describe('packRequests', () => {
  it('keeps to the limits of ranges, header and bytes, and loses no span', () => {
    fc.assert(
      fc.property(anyRanges, fc.integer({ min: 1, max: 200 }), (ranges, rangesMax) => {
        const spans = coalesce(ranges, false);
        const requests = packRequests(spans, rangesMax);
        expect(requests.flat()).toEqual(spans);
        for (const request of requests) {
          expect(request.length).toBeLessThanOrEqual(rangesMax);
          expect(rangeHeader(request).length).toBeLessThanOrEqual(REMOTE_RANGE_HEADER_CHARS_MAX + 'bytes='.length);
          const bytes = request.reduce((sum, span) => sum + span.lengthBytes, 0);
          expect(request.length === 1 || bytes <= REMOTE_REQUEST_BYTES_MAX).toBe(true);
        }
      }),
    );
  });
});

describe('Content-Range', () => {
  it.each([
    ['bytes 0-9/100', { offsetBytes: 0, lengthBytes: 10, totalBytes: 100 }],
    ['bytes 5-5/*', { offsetBytes: 5, lengthBytes: 1, totalBytes: undefined }],
    ['bytes 9-0/100', undefined],
    ['bytes 0-100/100', undefined],
    ['bytes */100', undefined],
    ['items 0-9/100', undefined],
    [undefined, undefined],
  ])('reads %s', (text, expected) => {
    expect(tryContentRange(text)).toEqual(expected);
  });

  it('tells the size when nothing could be satisfied', () => {
    expect(tryUnsatisfiedTotal('bytes */0')).toBe(0);
    expect(tryUnsatisfiedTotal('bytes 0-1/2')).toBeUndefined();
  });
});
