/**
 * Where the entry file of a thread or child process lies. Threads load plain JavaScript: run from source (tests),
 * the built file of the same name under `dist/` is taken, so the build must be fresh.
 */
import { existsSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { assert } from './assert.ts';

const SOURCE_ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * @param importMetaUrl `import.meta.url` of the caller
 * @param relativePath the entry beside it, with its source ending: `./merger.thread.ts`
 */
export function threadEntryUrl(importMetaUrl: string, relativePath: string): URL {
  const source = fileURLToPath(new URL(relativePath, importMetaUrl));
  const built = source.replace(/\.ts$/, '.js');
  if (!importMetaUrl.endsWith('.ts')) return pathToFileURL(built);
  const path = join(SOURCE_ROOT, 'dist', relative(SOURCE_ROOT, built));
  assert(existsSync(path), `${relative(SOURCE_ROOT, path).split(sep).join('/')} exists: run npm run build first`);
  return pathToFileURL(path);
}
