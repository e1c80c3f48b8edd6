import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatCount, formatDuration, tryByteSize, tryDurationMs } from '../../core/quantities.ts';

describe('durations', () => {
  it.each([
    ['250ms', 250],
    ['90s', 90_000],
    ['55m', 3_300_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['1.5s', 1500],
  ])('read %s as %d ms', (text, durationMs) => expect(tryDurationMs(text)).toBe(durationMs));

  it.each(['', '55', 'm', '5 m', '-3s', '1h30', '3x'])('refuse "%s"', (text) =>
    expect(tryDurationMs(text)).toBeUndefined(),
  );

  it.each([
    [12, '12 ms'],
    [18_240, '18.2 s'],
    [59_990, '1m00s'],
    [245_000, '4m05s'],
    [7_380_000, '2h03m'],
    [273_600_000, '3d04h'],
  ])('show %d ms as %s', (durationMs, text) => expect(formatDuration(durationMs)).toBe(text));
});

describe('sizes', () => {
  it.each([
    ['4096', 4096],
    ['64M', 64 * 1024 ** 2],
    ['10G', 10 * 1024 ** 3],
    ['10g', 10 * 1024 ** 3],
    ['1.5GiB', 1.5 * 1024 ** 3],
    ['10GB', 10 ** 10],
    ['12 kB', 12_000],
    ['7b', 7],
  ])('read %s as %d bytes', (text, sizeBytes) => expect(tryByteSize(text)).toBe(sizeBytes));

  it.each(['', 'G', '-1M', '1X', '1e3', '99999999T'])('refuse "%s"', (text) =>
    expect(tryByteSize(text)).toBeUndefined(),
  );

  it('are shown with at most three digits and a unit', () => {
    expect([512, 1536, 10 * 1024 ** 3, 123_456_789].map(formatBytes)).toEqual([
      '512 B',
      '1.5 KiB',
      '10 GiB',
      '118 MiB',
    ]);
  });
});

describe('counts', () => {
  it('are grouped without losing a digit', () => {
    expect(formatCount(1000)).toBe('1000');
    expect(formatCount(1_204_331)).toBe('1 204 331');
    fc.assert(fc.property(fc.nat(), (count) => Number(formatCount(count).replaceAll(' ', '')) === count));
  });
});
