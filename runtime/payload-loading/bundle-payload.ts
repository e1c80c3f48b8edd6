/**
 * Bundles a payload and everything it imports into one module, so that workers need no loader and the payload has an
 * identity: the hash of the bundle, which does not depend on where the project lies.
 *
 * - `granule/payload` and `granule/histogram` are always this granule's own; `zod` is too where the payload's project has
 *   none, and stays outside of the bundle then.
 * - `import.meta.url`, `__dirname` and the like keep the values they have in the source, so that files beside it are found.
 * - A package that cannot be bundled (native code) stays outside and is loaded from where the payload would find it.
 *
 * What depends on the place (the folder, packages left outside) is written as placeholders and hashed. Where packages were
 * left outside the bundle is then built once more, with their places: filled in, they would shift the columns that the
 * source map speaks of.
 */
import { createHash } from 'node:crypto';
import { dirname, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { BuildResult, Message } from 'esbuild';
import { GranuleError } from '../../core/errors.ts';
import { PAYLOAD_EXTERNAL_PACKAGES_MAX } from '../../core/limits.ts';
import { requirePackage } from '../../core/own-files.ts';
import { ORIGIN_PLACEHOLDER, type OutsideModules, packageOf, payloadPlugin, sourceColumn } from './payload-plugin.ts';

export interface PayloadBundle {
  /** SHA-256 of the code, lower-case hexadecimal */
  readonly identity: string;
  readonly code: string;
  /** source map (version 3) with absolute sources */
  readonly sourceMap: string;
}

/** Code in front of the bundle: what CommonJS packages and the rewritten `import.meta` need. One line. */
const BANNER = `import{createRequire as __granuleCreateRequire}from"node:module";const __granuleOrigin="${ORIGIN_PLACEHOLDER}";const require=__granuleCreateRequire(__granuleOrigin);`;

/** esbuild works in a child process of its own, which is ended with the last build under way. */
const esbuild = requirePackage('esbuild') as typeof import('esbuild');
let buildsUnderWay = 0;

/** Starts esbuild's process ahead of a build that will come, which will tell what goes wrong. */
export async function startBundler(): Promise<void> {
  await esbuild.transform('').catch(() => undefined);
}

/**
 * @param path absolute path of the payload's entry file
 * @throws PAYLOAD_INVALID with details `{ file, line, column }`
 */
export async function bundlePayload(path: string): Promise<PayloadBundle> {
  const folder = dirname(path);
  const outside: OutsideModules = { packages: new Set(), places: new Map(), namedBy: 'placeholder' };
  const build = () =>
    esbuild.build({
      entryPoints: [path],
      absWorkingDir: folder,
      outfile: `${folder}/payload.mjs`,
      bundle: true,
      write: false,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      // As Node resolves: no conditions or fields that only bundlers know.
      mainFields: ['main'],
      conditions: [],
      sourcemap: 'external',
      // Stacks need places only, and each worker reads the map.
      sourcesContent: false,
      // Drops the comments in which esbuild names paths.
      minifyWhitespace: true,
      legalComments: 'none',
      logLevel: 'silent',
      banner: { js: BANNER },
      plugins: [payloadPlugin(folder, outside)],
    });
  buildsUnderWay += 1;
  try {
    for (;;) {
      try {
        outside.namedBy = 'placeholder';
        const template = await build();
        outside.namedBy = 'place';
        return finishBundle(template, outside.places.size === 0 ? template : await build(), folder);
      } catch (error) {
        const messages = (error as { readonly errors?: readonly Message[] }).errors;
        if (messages === undefined) throw error;
        const culprit = packageOf(messages[0]?.location?.file ?? '');
        const hopeless = culprit === undefined || outside.packages.has(culprit);
        if (hopeless || outside.packages.size >= PAYLOAD_EXTERNAL_PACKAGES_MAX)
          throw describeBuildFailure(messages, folder);
        outside.packages.add(culprit);
      }
    }
  } finally {
    buildsUnderWay -= 1;
    if (buildsUnderWay === 0) await esbuild.stop();
  }
}

type Built = BuildResult<{ write: false }>;

/** @param template built with placeholders, to be hashed; @param built with the places of modules left outside */
function finishBundle(template: Built, built: Built, folder: string): PayloadBundle {
  const text = (result: Built, ending: string) =>
    result.outputFiles.find((file) => file.path.endsWith(ending))?.text ?? '';
  // It stands in the banner, on a line that no source is mapped to.
  const code = text(built, '.mjs').replace(JSON.stringify(ORIGIN_PLACEHOLDER), () =>
    JSON.stringify(pathToFileURL(`${folder}/`).href),
  );
  const map = JSON.parse(text(built, '.map')) as { sources: string[] };
  map.sources = map.sources.map((source) => fileURLToPath(new URL(source, pathToFileURL(`${folder}/`))));
  return {
    identity: createHash('sha256').update(text(template, '.mjs')).digest('hex'),
    code,
    sourceMap: JSON.stringify(map),
  };
}

/** Compiler messages as one error: file, line, column, the line itself; at most five of them. */
function describeBuildFailure(messages: readonly Message[], folder: string): GranuleError {
  const texts = messages.slice(0, 5).map(({ text, location }) => {
    if (location === null) return text;
    const { column, lineText } = sourceColumn(location);
    const place = `${placeOf(location.file, folder)}:${location.line}:${column}`;
    return `${place}: ${text}\n    ${lineText.trimEnd()}\n    ${' '.repeat(column - 1)}^`;
  });
  if (messages.length > texts.length) texts.push(`and ${messages.length - texts.length} more`);
  const location = messages[0]?.location;
  const missing = /^Could not resolve "([^"./][^"]*)"/.exec(messages[0]?.text ?? '')?.[1];
  const asset = /^No loader is configured/.test(messages[0]?.text ?? '');
  return new GranuleError('PAYLOAD_INVALID', `the payload cannot be built\n${texts.join('\n')}`, {
    details: location
      ? { file: placeOf(location.file, folder), line: location.line, column: sourceColumn(location).column }
      : {},
    ...(missing === undefined ? {} : { remedy: `install it beside the payload: npm install ${packageName(missing)}` }),
    ...(asset ? { remedy: "read such files at run time: readFileSync(new URL('./FILE', import.meta.url))" } : {}),
  });
}

/** esbuild names files relative to the working folder. */
function placeOf(file: string, folder: string): string {
  const path = fileURLToPath(new URL(encodeURI(file), pathToFileURL(`${folder}/`)));
  const fromHere = relative('.', path);
  return fromHere.startsWith('..') ? path : fromHere;
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
