/**
 * File name patterns, as shells have them: `*`, `?`, `[a-c]`, `[!a]`, `{x,y}` and `**` for any number of folders; `\`
 * takes a character literally. Hidden names match only a segment that itself begins with a dot.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

const MAGIC = /[*?[{]/;

/** True when the text would be expanded, so that a file of that very name has to be looked for first. */
export function isGlob(pattern: string): boolean {
  return MAGIC.test(pattern);
}

/** `a{b,c{d,e}}` is `ab`, `acd`, `ace`. A brace without partner stands for itself. */
export function expandBraces(pattern: string): readonly string[] {
  const open = findUnescaped(pattern, '{', 0);
  if (open < 0) return [pattern];
  const commas: number[] = [];
  let depth = 0;
  for (let index = open; index < pattern.length; index += 1) {
    const letter = pattern[index];
    if (letter === '\\') index += 1;
    else if (letter === '{') depth += 1;
    else if (letter === ',' && depth === 1) commas.push(index);
    else if (letter === '}') depth -= 1;
    if (depth > 0 || letter !== '}') continue;
    if (commas.length === 0) break;
    const cuts = [open, ...commas, index];
    const tails = expandBraces(pattern.slice(index + 1));
    return cuts.slice(1).flatMap((cut, place) => {
      const choices = expandBraces(pattern.slice((cuts[place] ?? 0) + 1, cut));
      return choices.flatMap((choice) => tails.map((tail) => pattern.slice(0, open) + choice + tail));
    });
  }
  const rest = expandBraces(pattern.slice(open + 1));
  return rest.map((tail) => `${pattern.slice(0, open)}\\{${tail}`);
}

function findUnescaped(text: string, letter: string, from: number): number {
  for (let index = from; index < text.length; index += 1) {
    if (text[index] === '\\') index += 1;
    else if (text[index] === letter) return index;
  }
  return -1;
}

/** One segment (no slash, no braces) as a regular expression. */
function segmentPattern(segment: string): RegExp {
  let source = segment.startsWith('.') ? '' : '(?!\\.)';
  for (let index = 0; index < segment.length; index += 1) {
    const letter = segment[index] ?? '';
    if (letter === '*') source += '[^/]*';
    else if (letter === '?') source += '[^/]';
    else if (letter === '\\') {
      index += 1;
      source += escapeRegExp(segment[index] ?? '\\');
    } else if (letter === '[') {
      const close = segment.indexOf(']', index + 2);
      if (close < 0) source += '\\[';
      else {
        const set = segment.slice(index + 1, close).replace(/[\\[\]^]/g, '\\$&');
        source += set.startsWith('!') ? `[^/${set.slice(1)}]` : `[${set}]`;
        index = close;
      }
    } else source += escapeRegExp(letter);
  }
  return new RegExp(`^${source}$`, 'su');
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}

/** Paths that match, files and folders, sorted by code units, each once. None when nothing matches. */
export async function expandGlob(pattern: string): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const plain of expandBraces(pattern)) {
    const absolute = plain.startsWith('/');
    const segments = plain.split('/').filter((segment) => segment !== '');
    for (const path of await matchSegments(absolute ? '/' : '', segments)) found.add(path);
  }
  return [...found].sort();
}

async function matchSegments(folder: string, segments: readonly string[]): Promise<readonly string[]> {
  const [segment, ...rest] = segments;
  if (segment === undefined) return folder === '' ? [] : [folder];
  if (segment === '**') {
    const here = await matchSegments(folder, rest.length === 0 ? ['*'] : rest);
    const below: string[] = [];
    for (const name of await namesIn(folder, /^[^.]/su, true)) {
      below.push(...(await matchSegments(join(folder, name), segments)));
    }
    return [...here, ...below];
  }
  if (!MAGIC.test(segment)) {
    const path = join(folder, segment.replace(/\\(.)/g, '$1'));
    return (await exists(path)) ? matchSegments(path, rest) : [];
  }
  const matches: string[] = [];
  for (const name of await namesIn(folder, segmentPattern(segment), false)) {
    matches.push(...(await matchSegments(join(folder, name), rest)));
  }
  return matches;
}

/** Links to folders count as folders for a named segment, but `**` does not follow them: they may form a ring. */
async function namesIn(folder: string, pattern: RegExp, foldersOnly: boolean): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder === '' ? '.' : folder, { withFileTypes: true });
    return entries
      .filter((entry) => pattern.test(entry.name) && (!foldersOnly || entry.isDirectory()))
      .map((entry) => entry.name);
  } catch {
    return []; // not a folder, or not readable: nothing in it can match
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
