import { describe, expect, it } from 'vitest';
import type { TaskFile } from '../../../core/dispatcher-api.ts';
import type { FormatName } from '../../../core/file-index.ts';
import { parseGuid } from '../../../core/ids.ts';
import { checkOutputFormats, mergedFileName, streamFormat } from '../../../runtime/merge/output-names.ts';

function file(lfn: string, format: FormatName): TaskFile {
  return { fileIndex: 0, guid: parseGuid('00000000-0000-8000-8000-000000000000'), lfn, format, eventCount: 1 };
}

const perFile = { kind: 'input-file' } as const;
const perCount = { kind: 'task', taskName: 'demo' } as const;
const asInput = { name: 'FILTERED', format: 'as-input' } as const;

describe('names of merged files', () => {
  it('are those of the input file and the stream', () => {
    const output = { outputIndex: 3, lfn: 'run7.hepmc.gz' };
    expect(mergedFileName(perFile, output, 'DIGEST', '.ndjson')).toBe('run7.hepmc.gz.DIGEST.ndjson');
  });

  it('count from one where outputs hold a set number of events', () => {
    const output = { outputIndex: 0, lfn: 'run7.hepmc' };
    expect(mergedFileName(perCount, output, 'HITS', '.gev')).toBe('demo.HITS.00001.gev');
    expect(mergedFileName(perCount, { ...output, outputIndex: 123_455 }, 'HITS', '.gev')).toBe('demo.HITS.123456.gev');
  });
});

describe('the format of a merged file', () => {
  it('is the declared one, or that of the input', () => {
    expect(streamFormat({ name: 'HITS', format: 'gev' }, 'lhe')).toBe('gev');
    expect(streamFormat(asInput, 'hepmc2')).toBe('hepmc2');
  });

  it('cannot be one that granule only reads', () => {
    expect(() => streamFormat(asInput, 'root')).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('FILTERED') }),
    );
  });

  it('must be one for all files that share an output', () => {
    const files = [file('a.hepmc', 'hepmc3'), file('b.lhe', 'lhe')];
    expect(() => checkOutputFormats(perCount, [asInput], files)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/a\.hepmc is hepmc3 and b\.lhe/),
      }),
    );
    expect(() => checkOutputFormats(perFile, [asInput], files)).not.toThrow();
    expect(() => checkOutputFormats(perCount, [{ name: 'HITS', format: 'gev' }], files)).not.toThrow();
  });
});
