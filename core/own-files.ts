/**
 * Where granule's own files lie, by their paths in the source tree. A built module shares its file with others, so none
 * can find another one relative to itself.
 *
 * Threads and child processes load plain JavaScript: run from source (tests), the built file of the same name is taken,
 * so the build must be fresh.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { assert } from './assert.ts';

const FROM_SOURCE = import.meta.url.endsWith('.ts');
const PACKAGE_FOLDER = packageFolder(new URL('./', import.meta.url));
const BUILT_FOLDER = new URL('dist/', PACKAGE_FOLDER);

function packageFolder(folder: URL): URL {
  if (existsSync(new URL('package.json', folder))) return folder;
  const above = new URL('../', folder);
  assert(above.href !== folder.href, 'granule is installed as a package');
  return packageFolder(above);
}

/** A file of the package that is not built: `templates/ts`. */
export function packageFileUrl(path: string): URL {
  return new URL(path, PACKAGE_FOLDER);
}

/** A source module, or a folder of them, as it is run now: the source itself, or what was built of it. */
export function moduleUrl(path: string): URL {
  return FROM_SOURCE ? new URL(path, PACKAGE_FOLDER) : builtModuleUrl(path);
}

/**
 * What was built of a source module: for entries of threads and child processes, and for modules that these import.
 *
 * @param path from the package's folder, with its source ending: `runtime/merge/merger.thread.ts`. One of those that
 *   `build/bundle.mjs` keeps in a file of their own
 */
export function builtModuleUrl(path: string): URL {
  const url = new URL(path.replace(/\.ts$/, '.js'), BUILT_FOLDER);
  if (FROM_SOURCE) assert(existsSync(url), `dist has what is built of ${path}: run npm run build first`);
  return url;
}

/**
 * A package in CommonJS. Node reads such packages twice when they are imported, the first time for their names, which
 * takes longer than loading them.
 */
export function requirePackage(name: string): unknown {
  return createRequire(PACKAGE_FOLDER)(name);
}
