/** Source modules for processes and threads that a test starts itself: what is built knows none but its entries. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';

const ROOT = new URL('..', import.meta.url).pathname;

/** @param path from the package's folder: `payloads/children/child-process.ts` */
export function moduleForNode(path: string): URL {
  const outfile = join(ROOT, '.vitest/modules', path.replace(/\.ts$/, '.mjs'));
  buildSync({
    entryPoints: [join(ROOT, path)],
    outfile,
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'silent',
  });
  return pathToFileURL(outfile);
}
