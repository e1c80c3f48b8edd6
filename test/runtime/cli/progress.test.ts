import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../core/clock.ts';
import { silentLogger } from '../../../core/log.ts';
import { ProgressReporter, type ProgressStyle, progressStyle } from '../../../runtime/cli/progress.ts';
import { announceRun } from '../../../runtime/cli/run-notices.ts';
import { NodeEvents, type ProgressSnapshot } from '../../../runtime/run/run-events.ts';

const START: ProgressSnapshot = {
  phase: 'processing',
  eventsTotal: 10_000,
  eventsFinished: 0,
  eventsFailed: 0,
  eventsFinishedNow: 0,
  eventsRetried: 0,
  workersBusy: 2,
  workerCount: 2,
  unmergedFiles: 0,
  inputsAwaited: 0,
  elapsedMs: 0,
};

function setUp(style: ProgressStyle, columns = 200) {
  let nowMs = 0;
  let written = '';
  const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
  const output = {
    isTTY: style === 'live',
    columns,
    write: (text: string) => {
      written += text;
    },
  };
  const events = new NodeEvents(silentLogger);
  const reporter = new ProgressReporter(events, { output, style, clock });
  return {
    events,
    reporter,
    written: () => written,
    at(ms: number, finished: number, change: Partial<ProgressSnapshot> = {}): void {
      nowMs = ms;
      events.emit('progress', {
        ...START,
        elapsedMs: ms,
        eventsFinished: finished,
        eventsFinishedNow: finished,
        ...change,
      });
    },
  };
}

/** What a terminal shows after all redraws: text before a carriage return and erasure is gone. */
function screen(written: string): readonly string[] {
  return written.split('\n').map((line) => line.split('\r\u001b[K').at(-1) ?? '');
}

describe('progress on a terminal', () => {
  it('is one line, redrawn at most ten times a second, with rate, time left, busy workers and failures', () => {
    const { at, written } = setUp('live');
    at(0, 0);
    at(50, 10);
    at(1000, 2000);
    at(2000, 4000, { eventsFailed: 3, eventsRetried: 5, workersBusy: 1 });
    expect(written().split('\r')).toHaveLength(4);
    expect(screen(written())).toEqual([
      ' 40 %  4000/10 000 events  2000/s  3 failed  5 retried  ETA 3.0 s  1/2 workers busy  2.0 s',
    ]);
  });

  it('never fills the last column, and keeps lines that stay above it', () => {
    const { at, reporter, written } = setUp('live', 30);
    at(0, 0);
    at(1000, 5000, { phase: 'draining' });
    reporter.note('worker 1 replaced');
    expect(screen(written())).toEqual(['worker 1 replaced', ' 50 %  5000/10 000 events  50']);
    reporter.close();
    expect(screen(written()).at(-1)).toBe('');
    expect(screen(written()).at(-2)).toBe(' 50 %  5000/10 000 events  5000/s  0 failed  1.0 s');
  });
});

describe('progress in a log', () => {
  it('has no carriage return or escape, and a line for each 5 % or 30 s only', () => {
    const { at, reporter, written } = setUp('plain');
    for (let second = 0; second <= 100; second += 1) at(1000 * second, 40 * second);
    for (let second = 101; second <= 200; second += 1) at(1000 * second, 4000 + 10 * (second - 100));
    reporter.close();
    const lines = written().trimEnd().split('\n');
    expect(written()).not.toContain('\r');
    expect(written()).not.toContain('\u001b');
    expect(lines).toHaveLength(11);
    expect(lines[0]).toBe('  5 %  520/10 000 events  40/s  0 failed  ETA 3m57s  2/2 workers busy  13.0 s');
    expect(lines.at(-2)).toContain('4750/10 000 events  10/s');
    expect(lines.at(-1)).toBe(' 50 %  5000/10 000 events  25/s  0 failed  3m20s');
  });

  it('has one line only, the last one, for a run of a moment', () => {
    const { at, reporter, written } = setUp('plain');
    for (let tick = 0; tick <= 20; tick += 1) at(50 * tick, 500 * tick);
    reporter.close();
    expect(written().trimEnd().split('\n')).toEqual(['100 %  10 000/10 000 events  10 000/s  0 failed  1.0 s']);
  });

  it('follows the present rate, not the average', () => {
    const { at, reporter, written } = setUp('plain');
    for (let second = 0; second <= 60; second += 1) at(1000 * second, 0);
    for (let second = 61; second <= 90; second += 1) at(1000 * second, 100 * (second - 60));
    expect(written().trimEnd().split('\n').at(-1)).toContain('  100/s  0 failed  ETA 1m1');
    reporter.close();
  });

  it('is not written for a run that never began', () => {
    const { reporter, written } = setUp('plain');
    reporter.close();
    expect(written()).toBe('');
  });
});

describe('the style of progress', () => {
  it.each([
    [true, {}, 'live'],
    [false, {}, 'plain'],
    [true, { CI: 'true' }, 'plain'],
    [true, { CI: 'false' }, 'live'],
    [true, { TERM: 'dumb' }, 'plain'],
  ] as const)('with a terminal %s and %j is %s', (isTTY, environment, style) => {
    expect(progressStyle({ isTTY }, environment)).toBe(style);
  });
});

describe('notices of a run', () => {
  it('say what happened, and are counted once there are many of a kind', () => {
    const events = new NodeEvents(silentLogger);
    const lines: string[] = [];
    const stop = announceRun(events, (line) => lines.push(line));
    events.emit('run:recovered', {
      eventsFinished: 812,
      rangesReturned: 13,
      filesAdopted: 1,
      outputsDamaged: 0,
      wallMs: 40,
    });
    for (let position = 1; position <= 12; position += 1) {
      events.emit('event:failed', {
        lfn: 'a.lhe',
        position,
        eventCount: 1,
        attemptNr: 3,
        cause: 'timeout',
        message: 'ran longer than 60 s',
        fatal: true,
      });
    }
    stop();
    events.emit('run:draining', { reason: 'requested', eventsInExecution: 2 });
    expect(lines[0]).toBe(
      'recovered: 812 events finished before, 13 ranges returned without cost, 1 file adopted, 0 outputs damaged (40 ms)',
    );
    expect(lines[1]).toBe('failed: a.lhe:1 timeout: ran longer than 60 s (attempt 3, failed for good)');
    expect(lines).toHaveLength(12);
    expect(lines.at(-1)).toBe('failures: 2 more, not shown');
  });
});
