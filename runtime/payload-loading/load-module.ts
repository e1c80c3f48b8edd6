/** Loads a payload module of a user. Runs in the thread of a payload call: nothing of the payload is executed elsewhere. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundlePayload, type PayloadBundle } from './bundle-payload.ts';
import { describePayload, type LoadedPayload } from './describe-payload.ts';
import { BUNDLE_ENDING, importPayloadModule } from './import-payload.ts';
import type { PayloadCall } from './payload-call.ts';
import { describeUserError } from './user-error.ts';

/**
 * Bundles the module, keeps the bundle under its identity, imports it and describes what it exports.
 *
 * @param where how messages name the payload
 * @throws PAYLOAD_INVALID, PAYLOAD_OPTION_INVALID
 */
export async function loadPayloadModule(
  { path, bundleFolder, options }: Extract<PayloadCall, { kind: 'load' }>,
  where: string,
): Promise<LoadedPayload> {
  const bundle = await bundlePayload(path);
  const moduleUrl = await keepBundle(bundleFolder, bundle);
  let module: Record<string, unknown>;
  try {
    module = await importPayloadModule(moduleUrl);
  } catch (error) {
    throw describeUserError(error, `${where}: it fails while it is loaded`, 'PAYLOAD_INVALID');
  }
  const description = await describePayload(module, options, where);
  return { ...description, source: path, identity: bundle.identity, moduleUrl };
}

/** Each file appears whole or not at all, so a kill leaves no half bundle behind its name. */
async function keepBundle(folder: string, { identity, code, sourceMap }: PayloadBundle): Promise<string> {
  const name = `${identity}${BUNDLE_ENDING}`;
  const path = join(folder, name);
  await mkdir(folder, { recursive: true });
  const place = async (target: string, text: string): Promise<void> => {
    const temporary = `${target}.${process.pid}.tmp`;
    await writeFile(temporary, text);
    await rename(temporary, target);
  };
  await place(`${path}.map`, sourceMap);
  await place(path, `${code}//# sourceMappingURL=${name}.map\n`);
  return pathToFileURL(path).href;
}
