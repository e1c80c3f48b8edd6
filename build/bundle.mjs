/**
 * Second step of `npm run build`: bundles granule into `dist/`, beside the declarations that `tsc` has written. A start
 * is mostly the loading of modules, so each entry (program, library, thread, child process, payload, benchmark) becomes
 * one file, and what entries share becomes a few chunks: what is one module stays one module.
 *
 * `node build/bundle.mjs [--micro]`: with the micro-benchmarks, which need tinybench.
 */
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OUT = 'dist';
const FOLDERS = ['core', 'payloads', 'dispatcher', 'runtime', 'bench'];
const PROGRAM = 'runtime/cli/granule.ts';
const DOORS = ['runtime/index.ts', 'payloads/payload.ts', 'payloads/histogram.ts'];

/**
 * Packages of plain JavaScript that nearly every start needs are bundled as well; `zod` alone is a hundred files. The
 * others stay outside: they bring native code or files of their own, or are loaded rarely.
 */
const BUNDLED_PACKAGES = new Set(['commander', 'msgpackr', 'pino', 'zod']);

/** Native help that packages do without: for messages like ours it gains nothing, and finding it costs a start some ms. */
const LEFT_OUT_PACKAGES = new Set(['msgpackr-extract']);

const withMicro = process.argv.includes('--micro');

/** Modules that are started or imported by their path. */
function isEntry(path) {
  if (path.startsWith('bench/peers/')) return false;
  if (path.endsWith('.bench.ts')) return withMicro;
  if (path === PROGRAM || DOORS.includes(path) || /\.(thread|child)\.ts$/.test(path)) return true;
  return path.startsWith('bench/scenarios/') || /^export default definePayload/m.test(readFileSync(path, 'utf8'));
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).split(sep).join('/'));
}

/** Leaves packages outside unless they are to be bundled; what a bundled package requires of Node is asked for at run time. */
const packages = {
  name: 'packages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind, importer }) => {
      if (kind === 'entry-point') return undefined;
      if (isBuiltin(path)) {
        // An ESM bundle has no `require`.
        if (kind === 'require-call') return { path: path.replace(/^node:/, ''), namespace: 'builtin' };
        return { path, external: true };
      }
      const name = /^(@[^/]+\/)?[^/]+/.exec(path)?.[0];
      if (LEFT_OUT_PACKAGES.has(name)) return { path, namespace: 'left-out' };
      const fromPackage = importer.includes('/node_modules/');
      return fromPackage || BUNDLED_PACKAGES.has(name) ? undefined : { path, external: true };
    });
    onLoad({ filter: /.*/, namespace: 'left-out' }, ({ path }) => ({
      contents: `throw new Error('${path} is left out');`,
      loader: 'js',
    }));
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
      loader: 'js',
    }));
  },
};

/** `dist` holds this build and nothing else but declarations. */
function removeOlder(outputs) {
  for (const path of filesBelow(OUT)) {
    if (/\.js(\.map)?$/.test(path) && !outputs.includes(path)) rmSync(path);
  }
}

/** Licences of the packages whose code is in the bundle. */
function writeLicences(inputs) {
  const folders = new Set(inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []));
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? '' : `\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
    return `${name} ${version} (${license})\n${text}`;
  });
  writeFileSync(
    join(OUT, 'LICENCES.txt'),
    `Code of these packages is part of granule's files.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`,
  );
}

process.chdir(ROOT);
const { metafile } = await build({
  entryPoints: FOLDERS.filter((folder) => existsSync(folder))
    .flatMap(filesBelow)
    .filter((path) => path.endsWith('.ts') && isEntry(path)),
  outdir: OUT,
  outbase: '.',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // Parsing is most of loading. Names stay, for stacks.
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  sourcemap: true,
  sourcesContent: false,
  plugins: [packages],
  metafile: true,
  logLevel: 'warning',
});
removeOlder(Object.keys(metafile.outputs));
writeLicences(Object.keys(metafile.inputs).map((path) => relative(ROOT, join(ROOT, path))));
chmodSync(join(OUT, PROGRAM.replace(/\.ts$/, '.js')), 0o755);
