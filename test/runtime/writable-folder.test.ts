import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { checkFreeSpace } from '../../runtime/writable-folder.ts';

it('a folder with room is accepted', () => {
  expect(() => checkFreeSpace(tmpdir())).not.toThrow();
});

it.skipIf(!existsSync('/proc/self'))('a file system without any room is refused, with what to do', () => {
  const refused = { code: 'OUTPUT_FAILED', message: expect.stringMatching(/^the disk of \/proc is full/) };
  expect(() => checkFreeSpace('/proc')).toThrow(expect.objectContaining(refused));
});
