/** Imports a payload module that was loaded (bundled and checked) before. Runs in workers: imports next to nothing. */
import type { PayloadDefinition } from '../../payloads/payload.ts';

/** Of the files that bundles are kept in; modules of granule itself end in `.js`. */
export const BUNDLE_ENDING = '.mjs';

/**
 * @param moduleUrl `LoadedPayload.moduleUrl`
 * @throws what the module throws while it is evaluated
 */
export async function importPayload(moduleUrl: string): Promise<PayloadDefinition> {
  const module = await importPayloadModule(moduleUrl);
  return module['default'] as PayloadDefinition;
}

/** The module's namespace, which is not known to be a payload yet. */
export async function importPayloadModule(moduleUrl: string): Promise<Record<string, unknown>> {
  // Stacks of a bundle (built-in payloads are none) then name the user's files and lines. Not set any earlier, so that
  // no other map is read.
  if (moduleUrl.endsWith(BUNDLE_ENDING)) process.setSourceMapsEnabled(true);
  return await import(moduleUrl);
}
