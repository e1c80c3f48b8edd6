import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { STAGE_OUT_ATTEMPTS_MAX } from '../../../core/limits.ts';
import { removeOutputs, type StageOutCalls, stageOut, sumFile } from '../../../runtime/worker/stage-out.ts';

const SHARED_MEMORY = '/dev/shm';
const twoFileSystems = existsSync(SHARED_MEMORY) && statSync(SHARED_MEMORY).dev !== statSync(tmpdir()).dev;

let folder: string;
let source: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-stage-out-'));
  source = join(folder, 'written');
  writeFileSync(source, 'an event');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

/** Calls that fail with these codes first, then work. */
function failing(codes: readonly string[]): StageOutCalls {
  const left = [...codes];
  return {
    rename: (from, to) => {
      const code = left.shift();
      if (code !== undefined) throw systemError(code);
      renameSync(from, to);
    },
    copy: (from, to) => {
      writeFileSync(to, readFileSync(from));
      return sumFile(from);
    },
  };
}

describe('staging out', () => {
  it('moves the file to its shard, which it makes', () => {
    stageOut(source, join(folder, 'aggregation', '7', 'HITS.1-1-1-1-1'));
    expect(readFileSync(join(folder, 'aggregation', '7', 'HITS.1-1-1-1-1'), 'utf8')).toBe('an event');
    expect(existsSync(source)).toBe(false);
  });

  it('replaces a file of the same name', () => {
    const target = join(folder, 'target');
    writeFileSync(target, 'left by a kill');
    stageOut(source, target);
    expect(readFileSync(target, 'utf8')).toBe('an event');
  });

  it.skipIf(!twoFileSystems)('copies between file systems, leaving neither source nor temporary file', () => {
    const other = mkdtempSync(join(SHARED_MEMORY, 'granule-stage-out-'));
    try {
      stageOut(source, join(other, 'shard', 'file'));
      expect(readFileSync(join(other, 'shard', 'file'), 'utf8')).toBe('an event');
      expect(readdirSync(join(other, 'shard'))).toEqual(['file']);
      expect(existsSync(source)).toBe(false);
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  it('copies again when the copy differs from what was read', () => {
    const target = join(folder, 'target');
    let copies = 0;
    stageOut(source, target, {
      rename: (from, to) => {
        if (from === source) throw systemError('EXDEV');
        renameSync(from, to);
      },
      copy: (from, to) => {
        copies += 1;
        writeFileSync(to, copies === 1 ? 'an evenT' : readFileSync(from));
        return sumFile(from);
      },
    });
    expect(copies).toBe(2);
    expect(readFileSync(target, 'utf8')).toBe('an event');
  });

  it('rides out errors that pass', () => {
    const target = join(folder, 'target');
    stageOut(source, target, failing(['EIO', 'EBUSY', 'EMFILE']));
    expect(readFileSync(target, 'utf8')).toBe('an event');
  });

  it.each(['ENOSPC', 'EACCES', 'EROFS'])('gives up at once on %s and keeps the source', (code) => {
    const calls = failing([code]);
    expect(() => stageOut(source, join(folder, 'target'), calls)).toThrow(
      expect.objectContaining({ code: 'OUTPUT_FAILED', message: expect.stringContaining(join(folder, 'target')) }),
    );
    expect(existsSync(source)).toBe(true);
  });

  it('gives up after the last attempt', () => {
    const calls = failing(new Array<string>(STAGE_OUT_ATTEMPTS_MAX).fill('ETIMEDOUT'));
    expect(() => stageOut(source, join(folder, 'target'), calls)).toThrow(
      expect.objectContaining({ code: 'OUTPUT_FAILED' }),
    );
  });

  it('says so when the source is missing', () => {
    expect(() => stageOut(join(folder, 'none'), join(folder, 'target'))).toThrow(
      expect.objectContaining({ code: 'OUTPUT_FAILED', message: expect.stringContaining('none') }),
    );
  });
});

describe('removing stale outputs', () => {
  const record = { stream: 'HITS', offsetBytes: 0, lengthBytes: 1, crc32: 0, recordCount: 1 };

  it('removes what is there, passes over what is gone and keeps files shared with other ranges', () => {
    mkdirSync(join(folder, '0'));
    writeFileSync(join(folder, '0', 'a'), 'x');
    writeFileSync(join(folder, '0', 'shared'), 'x');
    const left = removeOutputs(folder, [
      { ...record, file: '0/a' },
      { ...record, file: '0/gone' },
      { ...record, file: '0/shared', headerBytes: 0 },
    ]);
    expect(left).toBe(0);
    expect(readdirSync(join(folder, '0'))).toEqual(['shared']);
  });
});
