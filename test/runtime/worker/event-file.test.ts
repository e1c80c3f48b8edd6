import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OUTPUT_AT_ONCE_BYTES_MAX, OUTPUT_GATHER_BYTES } from '../../../core/limits.ts';
import { EventFile } from '../../../runtime/worker/event-file.ts';

const KILLS = 4;

let folder: string;
let shard: string;
let temporary: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-event-file-'));
  shard = join(folder, 'unmerged', '0');
  temporary = join(folder, 'OUT.part');
  mkdirSync(shard, { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function fileOf(pieces: readonly Uint8Array[], mayCreateInPlace = true): EventFile {
  const file = new EventFile(temporary, mayCreateInPlace);
  for (const piece of pieces) file.append(piece);
  return file;
}

/** Bytes of which no two pages are alike. */
function bytesOf(sizeBytes: number): Buffer {
  return Buffer.from(Uint32Array.from({ length: Math.ceil(sizeBytes / 4) }, (_, index) => index).buffer, 0, sizeBytes);
}

describe('an event file', () => {
  it.each([
    ['of one record', [bytesOf(1000)], true],
    ['of several pieces', [bytesOf(10), bytesOf(1000), bytesOf(3)], true],
    ['of a page', [bytesOf(OUTPUT_AT_ONCE_BYTES_MAX)], true],
    ['of more than a page', [bytesOf(OUTPUT_AT_ONCE_BYTES_MAX + 1)], true],
    ['that went to its temporary file early', [bytesOf(OUTPUT_GATHER_BYTES), bytesOf(7)], true],
    ['of no bytes', [], true],
    ['that may not be created in its place', [bytesOf(1000)], false],
  ])('%s comes into its place whole, with its size and CRC-32', (_, pieces, mayCreateInPlace) => {
    const bytes = Buffer.concat(pieces);
    const path = join(shard, 'OUT.1-1-1-1-1');
    writeFileSync(path, 'left by a kill');
    const sum = fileOf(pieces, mayCreateInPlace).complete(path);
    expect(sum).toEqual({ sizeBytes: bytes.length, crc32: crc32(bytes) });
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(existsSync(temporary)).toBe(false);
  });

  it('makes the shard that it is the first one in', () => {
    const path = join(folder, 'unmerged', '7', 'OUT.1-1-1-7169-1');
    fileOf([bytesOf(1000)]).complete(path);
    expect(readFileSync(path)).toEqual(bytesOf(1000));
  });

  it('is not there before it is complete, and not afterwards when it is discarded', () => {
    const file = fileOf([bytesOf(1000)]);
    expect(readdirSync(shard)).toEqual([]);
    file.discard();
    expect(readdirSync(folder)).toEqual(['unmerged']);
  });

  it('that cannot be put in its place is named in the error and leaves nothing', () => {
    const path = join(shard, 'OUT.1-1-1-1-1');
    mkdirSync(join(path, 'a folder with content'), { recursive: true });
    expect(() => fileOf([bytesOf(1000)]).complete(path)).toThrow(
      expect.objectContaining({ code: 'OUTPUT_FAILED', message: expect.stringContaining(path) }),
    );
    expect(readdirSync(folder)).toEqual(['unmerged']);
  });
});

/** Puts one file after the other in place, until it is killed. */
const WRITER = `import { EventFile } from './runtime/worker/event-file.ts';
const [temporary, shard, size, count] = process.argv.slice(2);
const bytes = new Uint8Array(Number(size)).fill(1);
for (let index = 0; ; index += 1) {
  const file = new EventFile(temporary, true);
  file.append(bytes);
  file.complete(shard + '/' + index);
  if (index === Number(count)) process.stdout.write('so many are there');
}
`;

/** Kills it some time after it has written `count` files. */
async function runAndKill(program: string, size: number, count: number): Promise<void> {
  const writer = spawn(process.execPath, [program, temporary, shard, String(size), String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(writer, 'exit');
  await once(writer.stdout, 'data');
  writer.kill('SIGKILL');
  await exited;
}

describe('a program that is killed while it writes event files', () => {
  it.each([1000, OUTPUT_AT_ONCE_BYTES_MAX, 3 * OUTPUT_AT_ONCE_BYTES_MAX])(
    'leaves none of %i bytes cut in its place: each is whole or, the last one, empty',
    async (size) => {
      const program = join(folder, 'writer.mjs');
      await build({
        stdin: {
          contents: WRITER,
          resolveDir: join(dirname(fileURLToPath(import.meta.url)), '../../..'),
          loader: 'ts',
        },
        outfile: program,
        bundle: true,
        platform: 'node',
        format: 'esm',
      });
      for (let kill = 1; kill <= KILLS; kill += 1) {
        const count = 200 * kill;
        await runAndKill(program, size, count);
        const sizes = readdirSync(shard)
          .sort((left, right) => Number(left) - Number(right))
          .map((name) => statSync(join(shard, name)).size);
        const last = sizes.pop();
        expect(sizes.length).toBeGreaterThanOrEqual(count);
        expect(new Set(sizes)).toEqual(new Set([size]));
        expect([0, size]).toContain(last);
        rmSync(shard, { recursive: true });
        mkdirSync(shard);
      }
    },
  );
});
