import { describe, expect, it } from 'vitest';
import { type Logger, silentLogger } from '../../../core/log.ts';
import { NodeEvents } from '../../../runtime/run/run-events.ts';
import { exitCodeOf } from '../../../runtime/run/run-summary.ts';

describe('the events of a node', () => {
  it('reach every listener although one throws, and the error is logged', () => {
    const logged: object[] = [];
    const log: Logger = { ...silentLogger, error: (fields) => void logged.push(fields) };
    const events = new NodeEvents(log);
    const seen: number[] = [];
    events.on('events:finished', () => {
      throw new Error('a bad listener');
    });
    const off = events.on('events:finished', ({ eventCount }) => seen.push(eventCount));
    events.emit('events:finished', { eventCount: 3 });
    off();
    off();
    events.emit('events:finished', { eventCount: 4 });
    expect(seen).toEqual([3]);
    expect(logged).toHaveLength(2);
  });
});

describe('the exit code of a run', () => {
  it.each([
    ['complete', 0, 0, 0],
    ['complete', 0, 1, 4],
    ['limited', 0, 0, 0],
    ['limited', 1, 0, 4],
    ['failed-events', 1, 0, 4],
    ['halted', 50, 0, 4],
    ['drained', 2, 0, 75],
    ['interrupted', 0, 0, 130],
  ] as const)('%s with %d failed events and %d refused inputs is %d', (ending, failed, refused, code) => {
    expect(exitCodeOf(ending, failed, refused)).toBe(code);
  });
});
