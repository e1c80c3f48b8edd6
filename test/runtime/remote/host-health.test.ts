/** What is known of a host: its circuit breaker, its pace, and how many ranges it takes. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  HOST_FAILURES_TO_OPEN,
  HOST_PAUSE_BASE_MS,
  HOST_PAUSE_MAX_MS,
  REMOTE_RANGES_LADDER,
} from '../../../core/limits.ts';
import { HostHealth } from '../../../runtime/remote/host-health.ts';

const HALF_OPEN_AT_MS = 10_000 + HOST_PAUSE_BASE_MS;

/** A host whose breaker was opened at 10 s. */
function openedHost(): HostHealth {
  const host = new HostHealth('https://h');
  for (let count = 0; count < HOST_FAILURES_TO_OPEN; count += 1) {
    expect(host.admit(10_000)).toBe(0);
    host.failed(10_000, 0);
  }
  return host;
}

describe('the circuit breaker of a host', () => {
  it('opens after failures in a row, and not when an answer comes between', () => {
    const host = new HostHealth('https://h');
    for (let count = 1; count < 3 * HOST_FAILURES_TO_OPEN; count += 1) {
      if (count % HOST_FAILURES_TO_OPEN === 0) host.answered(10, 0);
      else host.failed(0, 0);
      expect(host.admit(0)).toBe(0);
    }
    expect(openedHost().admit(10_000)).toBe(HOST_PAUSE_BASE_MS);
  });

  it('admits one request after the pause, and all once that is answered', () => {
    const host = openedHost();
    expect(host.admit(HALF_OPEN_AT_MS - 1)).toBe(1);
    expect(host.admit(HALF_OPEN_AT_MS)).toBe(0);
    expect(host.admit(HALF_OPEN_AT_MS)).toBeGreaterThan(0);
    host.answered(10, HALF_OPEN_AT_MS);
    expect([host.admit(HALF_OPEN_AT_MS), host.admit(HALF_OPEN_AT_MS)]).toEqual([0, 0]);
  });

  it('admits another request when the one it had admitted was given up', () => {
    const host = openedHost();
    host.admit(HALF_OPEN_AT_MS);
    host.abandoned();
    expect(host.admit(HALF_OPEN_AT_MS)).toBe(0);
  });

  it('waits twice as long after each request that fails again, up to a bound, and from the start once one is answered', () => {
    const host = openedHost();
    let nowMs = 10_000;
    const pauses: number[] = [];
    for (let opening = 0; opening < 12; opening += 1) {
      const pauseMs = host.admit(nowMs);
      pauses.push(pauseMs);
      nowMs += pauseMs;
      expect(host.admit(nowMs)).toBe(0);
      host.failed(nowMs, 0);
    }
    expect(pauses.slice(0, 4)).toEqual([1, 2, 4, 8].map((factor) => factor * HOST_PAUSE_BASE_MS));
    expect(pauses.at(-1)).toBe(HOST_PAUSE_MAX_MS);
    nowMs += host.admit(nowMs);
    host.admit(nowMs);
    host.answered(10, nowMs);
    for (let count = 0; count < HOST_FAILURES_TO_OPEN; count += 1) host.failed(nowMs, 0);
    expect(host.admit(nowMs)).toBe(HOST_PAUSE_BASE_MS);
  });

  it('leaves the host alone for as long as it asks to be', () => {
    const host = openedHost();
    host.failed(10_000, 7_000);
    expect(host.admit(10_000)).toBe(7_000);
  });

  it('never stays closed to everybody: after the pause that it names, one request is admitted', () => {
    const step = fc.record({ kind: fc.constantFrom('failed', 'answered', 'abandoned'), waitMs: fc.nat(40_000) });
    void fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const host = new HostHealth('https://h');
        let nowMs = 0;
        for (const { kind, waitMs } of steps) {
          nowMs += waitMs;
          if (host.admit(nowMs) > 0) continue;
          if (kind === 'failed') host.failed(nowMs, 0);
          else if (kind === 'answered') host.answered(1, nowMs);
          else host.abandoned();
        }
        const pauseMs = host.admit(nowMs);
        if (pauseMs > 0) expect(host.admit(nowMs + pauseMs)).toBe(0);
      }),
    );
  });
});

describe('the pace of a host', () => {
  it('is its round trip and its bytes, smoothed, and forgotten when it is old', () => {
    const host = new HostHealth('https://h');
    expect(host.expectedMs(1000, 0)).toBe(0);
    host.answered(100, 0);
    host.transferred(100_000, 100, 0);
    expect(host.expectedMs(10_000, 0)).toBe(110);
    host.answered(200, 1);
    expect(host.roundTripMs).toBe(120);
    expect(host.expectedMs(0, 60_001)).toBe(120);
    expect(host.expectedMs(0, 60_002)).toBe(0);
    host.answered(30, 70_000);
    expect(host.expectedMs(0, 70_000)).toBe(30);
  });
});

describe('ranges in a request', () => {
  it('become fewer, step by step, below what the host has failed at', () => {
    const host = new HostHealth('https://h');
    expect(host.rangesPerRequest).toBe(REMOTE_RANGES_LADDER[0]);
    expect(host.stepDown(30)).toBe(true);
    expect(host.rangesPerRequest).toBe(20);
    // An answer to a request of before: the host was asked for less since.
    host.stepDown(200);
    expect(host.rangesPerRequest).toBe(20);
    host.stepDown(5);
    expect(host.rangesPerRequest).toBe(1);
    expect(host.stepDown(1)).toBe(false);
  });
});
