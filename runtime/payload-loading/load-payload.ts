/**
 * From what the user names (`--payload`) to what workers import: finds the payload, has it bundled, checks it and its
 * options. Runs on the main thread and executes no code of a user there.
 */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GranuleError } from '../../core/errors.ts';
import { PAYLOAD_LOAD_TIMEOUT_MS } from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import { suggestNames } from '../../core/nearest-name.ts';
import { builtModuleUrl } from '../../core/own-files.ts';
import { BUILTIN_PAYLOADS, type BuiltinPayload, findBuiltinPayload } from '../../payloads/builtin/builtin-payloads.ts';
import { builtinIdentity } from './builtin-identity.ts';
import { describePayload, type LoadedPayload, type PayloadDescription, payloadWhere } from './describe-payload.ts';
import { importPayloadModule } from './import-payload.ts';
import { callPayload } from './payload-call.ts';

export interface PayloadRequest {
  /** name of a built-in payload, or a path relative to the current folder */
  readonly nameOrPath: string;
  /** as given: texts from a command line, values from a configuration file */
  readonly options: Readonly<Record<string, unknown>>;
  /** where bundles are kept, by identity; created when needed */
  readonly bundleFolder: string;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

const MODULE_PATTERN = /\.[cm]?[jt]s$/;

/**
 * @throws PAYLOAD_UNKNOWN, PAYLOAD_INVALID, PAYLOAD_OPTION_INVALID
 */
export async function loadPayload(request: PayloadRequest): Promise<LoadedPayload> {
  const builtin = findBuiltinPayload(request.nameOrPath);
  if (builtin !== undefined) return loadBuiltin(builtin, request);
  return loadModule(await findModule(request.nameOrPath), request);
}

/** Built-in payloads are trusted: they are described right here, which saves the start of a thread. */
async function loadBuiltin(builtin: BuiltinPayload, request: PayloadRequest): Promise<LoadedPayload> {
  const { href: moduleUrl } = builtModuleUrl(builtin.path);
  const describe = async (): Promise<PayloadDescription> =>
    describePayload(await importPayloadModule(moduleUrl), request.options, payloadWhere(builtin.name));
  const [identity, description] = await Promise.all([builtinIdentity(builtin), describe()]);
  return { ...description, source: builtin.name, identity, moduleUrl };
}

/**
 * A payload whose bundle is kept already; its source may have changed since.
 *
 * @throws PAYLOAD_INVALID, PAYLOAD_OPTION_INVALID
 */
export function loadBundle(
  request: Omit<PayloadRequest, 'nameOrPath'> & { readonly source: string; readonly identity: string },
): Promise<LoadedPayload> {
  return loadModule(request.source, request, request.identity);
}

/** In one thread: it bundles the module, unless that was done, then imports what came of that. */
async function loadModule(
  path: string,
  request: Omit<PayloadRequest, 'nameOrPath'>,
  identity: string | null = null,
): Promise<LoadedPayload> {
  const { bundleFolder, options, log, signal } = request;
  const loaded = await callPayload(
    { where: payloadWhere(path), call: { kind: 'load', path, identity, bundleFolder: resolve(bundleFolder), options } },
    { timeoutMs: PAYLOAD_LOAD_TIMEOUT_MS, signal, log },
  );
  return loaded as LoadedPayload;
}

async function findModule(nameOrPath: string): Promise<string> {
  const path = nameOrPath.startsWith('file://') ? fileURLToPath(nameOrPath) : resolve(nameOrPath);
  const found = await stat(path).catch(() => undefined);
  const names = BUILTIN_PAYLOADS.map(({ name }) => name);
  const looksLikePath = /[/\\]/.test(nameOrPath) || MODULE_PATTERN.test(nameOrPath);
  if (found === undefined) {
    if (looksLikePath) throw new GranuleError('PAYLOAD_UNKNOWN', `there is no payload file ${path}`);
    throw new GranuleError('PAYLOAD_UNKNOWN', `there is no built-in payload "${nameOrPath}"`, {
      details: { builtin: names },
      remedy: `${suggestNames(nameOrPath, names) ?? `built-in payloads: ${names.join(', ')}.`} For a module of your own give its path: --payload ./${nameOrPath}.ts`,
    });
  }
  if (found.isFile() && MODULE_PATTERN.test(path)) return path;
  throw new GranuleError('PAYLOAD_UNKNOWN', `the payload ${path} is ${found.isFile() ? 'no module' : 'no file'}`, {
    remedy:
      'a payload is a TypeScript or JavaScript module: .ts, .mts, .js or .mjs; other programs run by --payload command',
  });
}
