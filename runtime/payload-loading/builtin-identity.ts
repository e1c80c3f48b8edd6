/** Identity of the built-in payloads: what they are made of, so that a changed granule is noticed like a changed file. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const PAYLOADS_FOLDER = fileURLToPath(new URL('../../payloads/', import.meta.url));
const CORE_FOLDER = fileURLToPath(new URL('../../core/', import.meta.url));
const CODE_PATTERN = /(?<!\.d)\.[jt]s$/;

/**
 * SHA-256 over the payload's name and over every module that built-in payloads may import (`payloads/` and `core/`):
 * a payload's own module alone would hide a change in what it calls.
 */
export async function builtinIdentity(name: string): Promise<string> {
  const hash = createHash('sha256').update(`builtin:${name}\n`);
  for (const folder of [CORE_FOLDER, PAYLOADS_FOLDER]) {
    const paths = (await readdir(folder, { recursive: true })).filter((path) => CODE_PATTERN.test(path)).sort();
    const texts = await Promise.all(paths.map((path) => readFile(join(folder, path))));
    for (const [index, path] of paths.entries()) {
      const text = texts[index] ?? '';
      hash.update(`${path.split(sep).join('/')} ${text.length}\n`).update(text);
    }
  }
  return hash.digest('hex');
}
