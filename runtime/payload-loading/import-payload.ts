/** Imports a payload module that was loaded (bundled and checked) before. Runs in workers: imports next to nothing. */
import type { PayloadDefinition } from '../../payloads/payload.ts';

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
  // Stacks of a bundle then name the user's files and lines. Set here so that only the bundle's map is ever read.
  process.setSourceMapsEnabled(true);
  return await import(moduleUrl);
}
