/** Stacks of a payload's errors as users want to see them: without the frames of granule and Node that called the payload. */
import { fileURLToPath } from 'node:url';
import { packageFileUrl } from '../../core/own-files.ts';

const OWN_FOLDERS = ['dist', 'core', 'payloads', 'runtime'].map((name) => fileURLToPath(packageFileUrl(`${name}/`)));

/** As it is when no frame is the user's. */
export function userStack(stack: string): string {
  const lines = stack.split('\n');
  const last = lines.findLastIndex(isOfUser);
  return last < 0 ? stack : lines.slice(0, last + 1).join('\n');
}

function isOfUser(line: string): boolean {
  const path = /^\s+at (?:async )?(?:.*\()?(?:file:\/\/)?(\/[^()]*):\d+:\d+\)?$/.exec(line)?.[1];
  if (path === undefined || path.endsWith('/piscina/dist/worker.js')) return false;
  return !OWN_FOLDERS.some((folder) => path.startsWith(folder));
}
