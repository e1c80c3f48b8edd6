import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { indexFolder } from '../../../runtime/cli/shared-index.ts';

function folderFor(environment: Readonly<Record<string, string>>, index?: string): string {
  const silent = { isTTY: false, columns: 80, write: () => undefined };
  const results = { ...silent, write: () => Promise.resolve(true) };
  const surroundings = { environment, currentFolder: '/data', stdin: Readable.from([]), results, notices: silent };
  return indexFolder({ operands: [], flags: index === undefined ? {} : { index } }, surroundings);
}

describe('the folder of the shared event index', () => {
  it('is the one that is named, relative to the current folder', () => {
    expect(folderFor({ GRANULE_INDEX: 'theirs' }, 'mine')).toBe('/data/mine');
    expect(folderFor({ GRANULE_INDEX: 'theirs', HOME: '/home/u' })).toBe('/data/theirs');
  });

  it("is in the user's cache folder otherwise", () => {
    expect(folderFor({ HOME: '/home/u', XDG_CACHE_HOME: '/cache' })).toBe('/cache/granule/event-index');
    expect(folderFor({ HOME: '/home/u', XDG_CACHE_HOME: 'relative' })).toBe('/home/u/.cache/granule/event-index');
  });

  it('is absolute when HOME is not set, or makes no sense', () => {
    const folder = folderFor({});
    expect(folder).toMatch(/^\/.*\/\.cache\/granule\/event-index$/);
    expect(folderFor({ HOME: 'relative' })).toBe(folder);
  });
});
