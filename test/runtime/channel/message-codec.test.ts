import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Failure, LeasedRange, OutputRecord } from '../../../core/dispatcher-api.ts';
import type { RangeReport, RangeToken } from '../../../core/messages.ts';
import { decodeMessage, encodeMessage } from '../../../runtime/channel/message-codec.ts';

const whole = fc.maxSafeNat();
const small = fc.nat(1000);
const text = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((value) => !value.includes('\0'));

const failure: fc.Arbitrary<Failure> = fc.record({
  cause: fc.constantFrom('payload-error', 'timeout'),
  message: text,
  logTail: fc.array(text, { maxLength: 3 }),
  position: whole,
});
const failedEvents = fc.option(fc.array(fc.record({ position: whole, failure }), { minLength: 1, maxLength: 3 }));

const range: fc.Arbitrary<LeasedRange> = fc.record({
  rangeIndex: whole,
  fileIndex: small,
  startEvent: whole,
  lastEvent: whole,
  attemptNr: small,
  failures: small,
  suspect: fc.boolean(),
});

const token: fc.Arbitrary<RangeToken> = fc.record({
  rangeIndex: whole,
  attemptNr: small,
  fileIndex: small,
  startEvent: whole,
  lastEvent: whole,
  failures: small,
  offsetBytes: whole,
  lengthBytes: whole,
  cuts: fc.option(fc.array(whole, { minLength: 2, maxLength: 8 })),
  frame: fc.integer({ min: -1, max: 500 }),
  failedEvents,
  suspect: fc.boolean(),
});

const output: fc.Arbitrary<OutputRecord> = fc
  .record({
    stream: text,
    file: text,
    offsetBytes: whole,
    lengthBytes: whole,
    crc32: fc.nat(0xffff_ffff),
    recordCount: whole,
    headerBytes: fc.option(small),
  })
  .map(({ headerBytes, ...record }) => (headerBytes === null ? record : { ...record, headerBytes }));

const report: fc.Arbitrary<RangeReport> = fc.oneof(
  fc.record({
    kind: fc.constant('finished' as const),
    rangeIndex: whole,
    attemptNr: small,
    eventCount: small,
    failedEvents,
    outputs: fc.array(output, { maxLength: 3 }),
    wallMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
    cpuMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
    copy: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('failed' as const),
    rangeIndex: whole,
    attemptNr: small,
    eventCount: small,
    failure,
    failedEvents,
    failuresBefore: small,
    wallMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
    copy: fc.boolean(),
  }),
);

const message = fc.oneof(
  fc.record({ kind: fc.constant('extract-ranges'), ranges: fc.array(range, { maxLength: 40 }) }),
  fc.record({
    kind: fc.constant('tokens'),
    files: fc.constant([]),
    tokens: fc.array(token, { maxLength: 40 }),
    batch: small,
    copy: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('ask'),
    batch: fc.nat(),
    reports: fc.array(report, { maxLength: 40 }),
    readyAfterMs: fc.option(fc.double({ min: 0, noNaN: true })),
    threadCpuMs: fc.double({ min: 0, noNaN: true }),
  }),
  fc.record({
    kind: fc.constant('leave'),
    reason: fc.constant('end'),
    reports: fc.array(report, { maxLength: 3 }),
    error: fc.constant(null),
    threadCpuMs: fc.double({ min: 0, noNaN: true }),
  }),
  fc.constant({ kind: 'flush' }),
);

describe('messages as bytes', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(message, (sent) => {
        expect(decodeMessage(encodeMessage(sent))).toEqual(sent);
      }),
    );
  });

  it('are small: a token is rows of numbers, without names', () => {
    const tokens = fc.sample(token, 100).map((one) => ({ ...one, cuts: null, failedEvents: null }));
    const bytes = encodeMessage({ kind: 'tokens', files: [], tokens, batch: 1, copy: false });
    expect(bytes.length).toBeLessThan(100 * 11 * 8 + 200);
  });
});
