/** Identity of the built-in payloads: what they are made of, so that a changed granule is noticed like a changed file. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { builtModuleUrl } from '../../core/own-files.ts';
import type { BuiltinPayload } from '../../payloads/builtin/builtin-payloads.ts';

/**
 * SHA-256 over the payload's name and its built module. That names whatever it imports by a hash of the content, which
 * again covers imports, so a change in what the payload calls shows.
 */
export async function builtinIdentity({ name, path }: BuiltinPayload): Promise<string> {
  const code = await readFile(builtModuleUrl(path));
  return createHash('sha256').update(`builtin:${name}\n`).update(code).digest('hex');
}
