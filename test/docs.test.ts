/**
 * Reference pages are made of the source and kept equal to it: `npx vitest run test/docs.test.ts -u` writes them anew.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_TABLE } from '../core/errors.ts';
import * as limits from '../core/limits.ts';
import { FAILURE_CAUSES, RANGE_STATES } from '../core/states.ts';
import { COMMANDS } from '../runtime/cli/command-list.ts';
import {
  environmentNameOf,
  flagOf,
  OPTION_KEYS,
  OPTION_TABLE,
  type OptionText,
} from '../runtime/options/option-table.ts';

const ROOT = new URL('..', import.meta.url).pathname;

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(titles), line(titles.map(() => '---')), ...rows.map(line), ''].join('\n');
}

/** Text of the doc comments in a source file, by the name on the line below each. */
function commentsAbove(path: string, entry: RegExp): ReadonlyMap<string, string> {
  const comments = new Map<string, string>();
  let above = '';
  let inComment = false;
  for (const line of readFileSync(join(ROOT, path), 'utf8').split('\n')) {
    const name = entry.exec(line)?.[1];
    const begins = /^\s*\/\*\*/.test(line);
    if (begins) above = '';
    if (begins || inComment) above = `${above} ${line.replace(/^\s*\/?\*+\/?\s?|\*\/\s*$/g, '').trim()}`.trim();
    inComment = (begins || inComment) && !line.includes('*/');
    if (name !== undefined) comments.set(name, above);
  }
  return comments;
}

describe('reference pages', () => {
  it('list every error code', async () => {
    const rows = Object.entries(ERROR_TABLE).map(([code, { kind, exitCode, httpStatus, retry, summary }]) => [
      `\`${code}\``,
      kind,
      String(exitCode),
      String(httpStatus),
      retry === 'never' ? 'no' : 'after a pause',
      summary,
    ]);
    const causes = commentsAbove('core/states.ts', /^ {2}'([a-z-]+)',$/);
    const page = `# Error codes

An error says what was wanted, what was found and where, and most say what to do. Programs match on the code, which never
changes its meaning. \`--debug\` (or \`GRANULE_DEBUG=1\`) adds the stack; with \`--json\` the error is also an object on stdout:
\`{"schema":1,"error":{"code","message","details","remedy"}}\`.

${table(['code', 'kind', 'exit code', 'HTTP status', 'worth repeating', 'meaning'], rows)}
## Exit codes

${table(
  ['code', 'meaning'],
  [
    ['0', 'all events finished and merged, or the number asked for with `-n` was processed'],
    ['1', 'internal error, or the disk is full'],
    ['2', 'usage, configuration, or no usable input'],
    ['3', 'another live process holds the store'],
    ['4', 'done, but some events or input files failed for good'],
    ['75', 'stopped early (SIGTERM, wall time, a source that is gone): the same command goes on'],
    ['130', 'the same after Ctrl-C'],
  ],
)}
## Why an event failed

${table(
  ['cause', 'meaning'],
  FAILURE_CAUSES.map((cause) => [`\`${cause}\``, causes.get(cause) ?? '']),
)}`;
    await expect(page).toMatchFileSnapshot('../docs/errors.md');
  });

  it('list every limit', async () => {
    const comments = commentsAbove('core/limits.ts', /^export const ([A-Z0-9_]+)/);
    const rows = Object.entries(limits).map(([name, value]) => [
      `\`${name}\``,
      show(name, value),
      comments.get(name) ?? '',
    ]);
    const page = `# Limits

Every bound stands in \`core/limits.ts\`, with its unit in its name. Those that an option changes say "unless told
otherwise"; \`granule config --show-defaults\` shows the options that have a default.

${table(['limit', 'value', 'what and why'], rows)}`;
    await expect(page).toMatchFileSnapshot('../docs/limits.md');
  });

  it('list every option of a run', async () => {
    const rows = OPTION_KEYS.map((key) => {
      const { value, help, default: otherwise, repeatable }: OptionText = OPTION_TABLE[key];
      return [
        `\`${key}\``,
        `\`${flagOf(key)}${value === undefined ? '' : ` ${value}`}\`${repeatable ? ', repeatable' : ''}`,
        key === 'options' ? '' : `\`${environmentNameOf(key)}\``,
        otherwise ?? '',
        help,
      ];
    });
    const page = `# Options of a run

Given in \`granule.yaml\` (or the file named by \`--config\`) by their keys, in the environment, or as flags; the later in this
order wins, options of the payload are joined name by name. Relative paths in a file start at the folder of the file.
Unknown keys are refused. \`granule config\` shows what holds and where it comes from; \`granule config --schema\` prints a JSON
Schema for editors.

${table(['key', 'flag', 'environment', 'default', 'meaning'], rows)}
Remote input also heeds \`BEARER_TOKEN\`, \`BEARER_TOKEN_FILE\` and \`XDG_RUNTIME_DIR\` (where a token is found, see the README), and
\`http_proxy\`, \`https_proxy\` and \`no_proxy\`.
`;
    await expect(page).toMatchFileSnapshot('../docs/options.md');
  });

  it('list every command', async () => {
    const rows = COMMANDS.map(({ name, summary }) => [`\`granule ${name}\``, summary]);
    const page = `# Commands

\`granule COMMAND --help\` tells of options and gives examples. stdout carries the result, as a table or with \`--json\` for
scripts; progress and notices go to stderr. Commands that look at a run find it by \`--out DIR\`, by \`GRANULE_OUT\`, by the \`out\` of a
\`granule.yaml\` in the current folder, or take the current folder. Exit codes are in [errors.md](errors.md).

${table(['command', 'what it does'], rows)}
An event is named by \`LFN:position\` (\`events.hepmc3:17\`), \`GUID:position\` or an eventRangeID. How to find out why events failed:
[writing-a-payload.md](writing-a-payload.md#finding-out-why).
`;
    await expect(page).toMatchFileSnapshot('../docs/commands.md');
  });

  it('list the states of an event range', async () => {
    const comments = commentsAbove('core/states.ts', /^ {2}(\w+): \d+,$/);
    const rows = Object.entries(RANGE_STATES).map(([state, number]) => [
      `\`${state}\``,
      String(number),
      comments.get(state) ?? '',
    ]);
    const page = `# States of an event range

The names and numbers of PanDA's event service. What leads from one to another is the table in
\`dispatcher/transitions.ts\`.

${table(['state', 'number', 'meaning'], rows)}`;
    await expect(page).toMatchFileSnapshot('../docs/states.md');
  });
});

function show(name: string, value: unknown): string {
  if (typeof value !== 'number') return JSON.stringify(value);
  if (!name.includes('BYTES') || value < 1024) return String(value);
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let rest = value;
  while (rest % 1024 === 0 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${rest} ${units[unit]}`;
}
