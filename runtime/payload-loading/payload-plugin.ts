/** The esbuild plugin of payload bundles: how imports are resolved and what becomes of `import.meta`. */
import { readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Loader, Location, OnResolveArgs, OnResolveResult, Plugin, PluginBuild } from 'esbuild';
import { moduleUrl, packageFileUrl } from '../../core/own-files.ts';

/** Stands for the URL of the payload's folder until the bundle is hashed. */
export const ORIGIN_PLACEHOLDER = 'granule-origin:';

/** Modules that stay outside of a bundle. */
export interface OutsideModules {
  /** names of packages that cannot be bundled; grows while building */
  readonly packages: Set<string>;
  /** what the bundle is hashed with (package, version, file) → where the module lies here; grows while building */
  readonly places: Map<string, string>;
  /** how the bundle that is being built names them: as it is hashed, or by their places, as it is run */
  namedBy: 'placeholder' | 'place';
}

/** Where packages are looked for that a payload may leave to granule. */
const OWN_FOLDER = fileURLToPath(packageFileUrl('./'));

/** Mark of our own resolve calls, so that they are not answered by ourselves again. */
const RESOLVING = { resolving: true };

const NAMES = ['import.meta.url', 'import.meta.filename', 'import.meta.dirname', '__filename', '__dirname'] as const;
const DEFINES = {
  'import.meta.url': '__granuleUrl',
  'import.meta.filename': '__granuleFile',
  'import.meta.dirname': '__granuleFolder',
  __filename: '__granuleFile',
  __dirname: '__granuleFolder',
};

/** Code in front of a module that asks where it lies; on its first line, so that line numbers hold. */
function whereaboutsOf(relativePath: string): string {
  const url = `new URL(${JSON.stringify(encodeURI(relativePath))},__granuleOrigin)`;
  return (
    `const __granuleUrl=${url}.href,` +
    `__granuleFile=decodeURIComponent(${url}.pathname),` +
    "__granuleFolder=__granuleFile.slice(0,__granuleFile.lastIndexOf('/'));"
  );
}
const WHEREABOUTS_PATTERN = /^const __granuleUrl=.*?lastIndexOf\('\/'\)\);/;

/** Column (1-based) and line of a compiler message, as they are in the user's file. */
export function sourceColumn(location: Location): { readonly column: number; readonly lineText: string } {
  const added = WHEREABOUTS_PATTERN.exec(location.lineText)?.[0].length ?? 0;
  // esbuild counts bytes of UTF-8.
  const before = Buffer.from(location.lineText).subarray(0, location.column).toString().length;
  return { column: Math.max(0, before - added) + 1, lineText: location.lineText.slice(added) };
}

/** Name of the package that a file belongs to; undefined for the user's own files. */
export function packageOf(file: string): string | undefined {
  const match = /.*(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file.split(sep).join('/'));
  return match?.[1];
}

export function payloadPlugin(folder: string, outside: OutsideModules): Plugin {
  return {
    name: 'granule-payload',
    setup(build) {
      build.initialOptions.define = DEFINES;
      build.onResolve({ filter: /^granule(\/(payload|histogram))?$/ }, ({ path }) =>
        path === 'granule'
          ? leaveOutside(outside, 'granule', moduleUrl('runtime/index.ts').href)
          : { path: fileURLToPath(moduleUrl(`payloads/${path.slice('granule/'.length)}.ts`)), sideEffects: false },
      );
      // Finds its binary through the stack of its caller, which a bundle hides.
      build.onResolve({ filter: /^bindings$/ }, () => ({
        errors: [{ text: 'the package "bindings" cannot be bundled' }],
      }));
      build.onResolve({ filter: /^[^./]/ }, (args) => resolvePackage(build, args, outside));
      build.onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ path }) => {
        const text = await readFile(path, 'utf8');
        if (!NAMES.some((name) => text.includes(name))) return undefined;
        const contents = whereaboutsOf(relative(folder, path).split(sep).join('/')) + text.replace(/^#!.*/, '');
        return { contents, loader: loaderOf(path) };
      });
    },
  };
}

function loaderOf(path: string): Loader {
  const kind = extname(path).replace(/^\.[cm]?/, '');
  return kind === 'ts' || kind === 'tsx' || kind === 'jsx' ? kind : 'js';
}

async function resolvePackage(
  build: PluginBuild,
  args: OnResolveArgs,
  outside: OutsideModules,
): Promise<OnResolveResult | undefined> {
  if (args.pluginData === RESOLVING || args.kind === 'entry-point' || args.path.startsWith('node:')) return undefined;
  const { path, kind, importer, resolveDir } = args;
  if (
    outside.packages.has(
      path
        .split('/')
        .slice(0, path.startsWith('@') ? 2 : 1)
        .join('/'),
    )
  ) {
    return resolveOutside(build, args, outside);
  }
  if (!/^zod($|\/)/.test(path)) return undefined;
  const found = await build.resolve(path, { kind, importer, resolveDir, pluginData: RESOLVING });
  if (found.errors.length === 0) return { path: found.path, sideEffects: found.sideEffects };
  return resolveOutside(build, { ...args, resolveDir: OWN_FOLDER }, outside);
}

/** Finds the module as the importing file would; it is loaded by its absolute place. */
async function resolveOutside(
  build: PluginBuild,
  args: OnResolveArgs,
  outside: OutsideModules,
): Promise<OnResolveResult> {
  const { path, kind, importer, resolveDir } = args;
  const found = await build.resolve(path, { kind, importer, resolveDir, pluginData: RESOLVING });
  if (found.errors.length > 0) return { errors: found.errors };
  const root = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+\//.exec(found.path.split(sep).join('/'))?.[0] ?? '';
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version?: string };
  const name = `${packageOf(found.path)}@${version ?? ''}/${relative(root, found.path)}`;
  const required = kind === 'require-call' || kind === 'require-resolve';
  return leaveOutside(
    outside,
    required ? `require:${name}` : name,
    required ? found.path : pathToFileURL(found.path).href,
  );
}

function leaveOutside(outside: OutsideModules, name: string, place: string): OnResolveResult {
  const placeholder = `granule-outside:${name}`;
  outside.places.set(placeholder, place);
  return { path: outside.namedBy === 'place' ? place : placeholder, external: true };
}
