/**
 * Command lines with placeholders: `./simulate --seed {seed} < {event}`. Values are quoted for the place they stand in
 * (bare, in single or in double quotes), so no name of a file can end a word or begin another command.
 */
import { suggestNames } from '../../core/nearest-name.ts';

export const PLACEHOLDERS = [
  'event',
  'input',
  'output',
  'position',
  'eventNumber',
  'runNumber',
  'guid',
  'lfn',
  'seed',
  'folder',
] as const;
export type Placeholder = (typeof PLACEHOLDERS)[number];

type Quoting = 'bare' | 'single' | 'double';

export interface CommandTemplate {
  readonly parts: readonly (string | { readonly placeholder: Placeholder; readonly quoting: Quoting })[];
  /** the placeholders in it */
  readonly used: ReadonlySet<Placeholder>;
}

function isPlaceholder(name: string): name is Placeholder {
  return (PLACEHOLDERS as readonly string[]).includes(name);
}

/** Splits a command at its placeholders. Other braces are the shell's. */
export function parseCommand(command: string): CommandTemplate {
  const parts: CommandTemplate['parts'][number][] = [];
  const used = new Set<Placeholder>();
  let quoting: Quoting = 'bare';
  let text = '';
  for (let at = 0; at < command.length; at += 1) {
    const char = command[at] ?? '';
    const name = /^\{(\w+)\}/.exec(command.slice(at))?.[1];
    if (name !== undefined && isPlaceholder(name)) {
      parts.push(text, { placeholder: name, quoting });
      used.add(name);
      text = '';
      at += name.length + 1;
      continue;
    }
    text += char;
    if (char === '\\' && quoting !== 'single') {
      at += 1;
      text += command[at] ?? '';
    } else if (char === "'" && quoting !== 'double') {
      quoting = quoting === 'single' ? 'bare' : 'single';
    } else if (char === '"' && quoting !== 'single') {
      quoting = quoting === 'double' ? 'bare' : 'double';
    }
  }
  parts.push(text);
  return { parts, used };
}

/** A word in braces that looks like a misspelt placeholder, with what it was meant to be. */
export function findMisspelling(command: string): string | undefined {
  for (const [braced, name = ''] of command.matchAll(/(?<!\$)\{(\w+)\}/g)) {
    if (isPlaceholder(name)) continue;
    const suggestion = suggestNames(name, PLACEHOLDERS);
    if (suggestion !== undefined) return `${braced} is no placeholder; ${suggestion}`;
  }
  return undefined;
}

/** @param resolve asked for the placeholders that are used, and for no others */
export function fillCommand(template: CommandTemplate, resolve: (placeholder: Placeholder) => string): string {
  return template.parts
    .map((part) => (typeof part === 'string' ? part : quote(resolve(part.placeholder), part.quoting)))
    .join('');
}

function quote(value: string, quoting: Quoting): string {
  switch (quoting) {
    case 'bare':
      return /^[\w./:@%+=-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
    case 'single':
      return value.replaceAll("'", "'\\''");
    case 'double':
      return value.replace(/[\\"$`]/g, '\\$&');
  }
}
