import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLoggerFactory } from '../../core/log.ts';

/** Linux: nothing written there finds room. */
const FULL_DISK = '/dev/full';

describe('a log file', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'granule-log-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('has each line once it is written, without secrets', () => {
    const file = join(folder, 'new/granule.log');
    const loggers = createLoggerFactory({ level: 'info', file });
    loggers.forComponent('pilot').info({ place: 'https://user:secret@example.org/a' }, 'file opened');
    const line = JSON.parse(readFileSync(file, 'utf8'));
    expect(line).toMatchObject({ component: 'pilot', msg: 'file opened' });
    expect(JSON.stringify(line)).not.toContain('secret');
  });

  it.skipIf(!existsSync(FULL_DISK))('on a full disk loses its lines, and nothing else', async () => {
    const loggers = createLoggerFactory({ level: 'info', file: FULL_DISK });
    const log = loggers.forComponent('dispatcher');
    for (let line = 0; line < 3; line += 1) {
      log.error({}, 'event table failed');
      await setImmediate();
    }
  });
});
