/** Placeholders in shell commands: whatever a value holds, the shell sees it as it is, and only in its place. */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fillCommand, findMisspelling, parseCommand } from '../../../payloads/children/command-template.ts';

const shell = (command: string): string => execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8' });

it('fills values that the shell sees unchanged: bare, in single and in double quotes', () => {
  const template = parseCommand(`printf '%s|' {lfn} 'a {lfn} b' "c {lfn} d" \\"{lfn} x'y'{lfn}`);
  const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));
  const nasty = fc.constantFrom(
    "it's",
    '$(touch x)',
    '`id`',
    '"; exit 3; "',
    '-n',
    '',
    ' two  words ',
    '\\',
    '\\\\"',
    '*',
  );
  fc.assert(
    fc.property(fc.oneof(text, nasty), (value) => {
      const filled = fillCommand(template, () => value);
      expect(shell(filled)).toBe(`${value}|a ${value} b|c ${value} d|"${value}|xy${value}|`);
    }),
    { numRuns: 60 },
  );
});

it('leaves the braces of the shell and of awk alone', () => {
  const command = "awk '{print $1} {x += $2}' {event} | cat $" + '{HOME}/{a,b} {1..3}';
  const template = parseCommand(command);
  expect([...template.used]).toEqual(['event']);
  expect(fillCommand(template, () => 'E')).toBe(command.replace('{event}', 'E'));
  expect(findMisspelling(command)).toBeUndefined();
});

it('finds a misspelt placeholder', () => {
  expect(findMisspelling('./simulate {evnet}')).toBe('{evnet} is no placeholder; did you mean "event"?');
});
