/** Loads a payload module of a user. Runs in the thread of a payload call: nothing of the payload is executed elsewhere. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { outputFailure } from '../durable-file.ts';
import { bundlePayload } from './bundle-payload.ts';
import { describePayload, type LoadedPayload } from './describe-payload.ts';
import { halfBundlePath } from './half-bundles.ts';
import { BUNDLE_ENDING, importPayloadModule } from './import-payload.ts';
import type { PayloadCall } from './payload-call.ts';
import { describeUserError } from './user-error.ts';

/**
 * Bundles the module and keeps the bundle under its identity, unless one is named that is kept already; imports it and
 * describes what it exports.
 *
 * @param where how messages name the payload
 * @throws PAYLOAD_INVALID, PAYLOAD_OPTION_INVALID, OUTPUT_FAILED when the bundle cannot be kept
 */
export async function loadPayloadModule(
  { path, identity: kept, bundleFolder, options }: Extract<PayloadCall, { kind: 'load' }>,
  where: string,
): Promise<LoadedPayload> {
  const identity = kept ?? (await bundleAndKeep(path, bundleFolder));
  const moduleUrl = pathToFileURL(bundlePath(bundleFolder, identity)).href;
  let module: Record<string, unknown>;
  try {
    module = await importPayloadModule(moduleUrl);
  } catch (error) {
    throw describeUserError(error, `${where}: it fails while it is loaded`, 'PAYLOAD_INVALID');
  }
  const description = await describePayload(module, options, where);
  return { ...description, source: path, identity, moduleUrl };
}

/** Where the bundle of this identity is kept. */
export function bundlePath(folder: string, identity: string): string {
  return join(folder, `${identity}${BUNDLE_ENDING}`);
}

/** Each file appears whole or not at all, so a kill leaves no half bundle behind its name. Returns the identity. */
async function bundleAndKeep(source: string, folder: string): Promise<string> {
  const { identity, code, sourceMap } = await bundlePayload(source);
  const path = bundlePath(folder, identity);
  await mkdir(folder, { recursive: true });
  const place = async (target: string, text: string): Promise<void> => {
    const temporary = halfBundlePath(target);
    try {
      await writeFile(temporary, text);
      await rename(temporary, target);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw outputFailure(target, cause);
    }
  };
  await place(`${path}.map`, sourceMap);
  await place(path, `${code}//# sourceMappingURL=${basename(path)}.map\n`);
  return identity;
}
