import { describe, expect, it } from 'vitest';
import { formatSummary } from '../../../runtime/cli/summary-tables.ts';
import { formatTable } from '../../../runtime/cli/table.ts';
import type { RunSummary } from '../../../runtime/run/run-summary.ts';

const SUMMARY: RunSummary = {
  schema: 1,
  ending: 'failed-events',
  exitCode: 4,
  reason: 'some events failed for good',
  payload: 'digest',
  seed: 1,
  outFolder: '/home/u/out',
  events: { total: 40_000, finished: 39_998, failed: 2, retried: 4, recovered: 0, left: 0 },
  outputs: [{ stream: 'DIGEST', path: 'a.DIGEST.ndjson', events: 39_998, sizeBytes: 2_097_152, sha256: 'ab' }],
  failures: [{ cause: 'payload-error', events: 2, example: 'a.lhe:88', message: 'no lepton' }],
  refusedInputs: [{ place: 'b.lhe', code: 'INPUT_TRUNCATED', message: 'b.lhe: ends in event 7' }],
  speculation: { copies: 0, discarded: 0 },
  workers: 2,
  wallMs: 18_200,
  executeMs: 35_000,
  busyFraction: 0.981,
};

describe('a table', () => {
  it('has columns as wide as their widest cell, and no trailing spaces', () => {
    const columns = [{ title: 'name' }, { title: 'events', align: 'right' as const }, { title: 'note' }];
    expect(
      formatTable(columns, [
        ['größe', '7', ''],
        ['b', '12345678', 'x'],
      ]),
    ).toBe('name     events  note\ngröße         7\nb      12345678  x\n');
    expect(formatTable(columns, [])).toBe('');
    const many = Array.from({ length: 200_000 }, () => ['a', 'b']);
    expect(formatTable(columns, many).split('\n')).toHaveLength(200_002);
  });
});

describe('the summary of a run', () => {
  it('names outputs, failures by cause with a command to look at them, and refused inputs', () => {
    expect(formatSummary(SUMMARY, '/home/u')).toBe(
      [
        '39 998 of 40 000 events finished, 2 failed, 4 retried; 18.2 s, 2 workers, busy 98 %',
        'some events failed for good',
        '',
        'stream  records   size  file',
        'DIGEST   39 998  2 MiB  out/a.DIGEST.ndjson',
        '',
        'why            events  example   message',
        'payload-error       2  a.lhe:88  no lepton',
        'list them: granule events --out out --status fatal',
        'execute one by itself: granule exec --out out a.lhe:88',
        '',
        '1 input could not be used:',
        '  b.lhe: ends in event 7 (INPUT_TRUNCATED)',
        '',
      ].join('\n'),
    );
  });

  it('is one line for a run without outputs or failures', () => {
    const { reason, ...rest } = SUMMARY;
    const quiet: RunSummary = {
      ...rest,
      ending: 'complete',
      outputs: [],
      failures: [],
      refusedInputs: [],
      events: { total: 1, finished: 1, failed: 0, retried: 0, recovered: 0, left: 0 },
      speculation: { copies: 0, discarded: 0 },
      workers: 1,
    };
    expect(reason).toBeDefined();
    expect(formatSummary(quiet, '/home/u')).toBe('1 of 1 events finished, 0 failed; 18.2 s, 1 worker, busy 98 %\n');
  });
});
