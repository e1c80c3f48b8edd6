/** What is kept of a child's output is bounded, whatever it prints. */
import { expect, it } from 'vitest';
import { LOG_LINE_CHARS_MAX, LOG_TAIL_LINES } from '../../../core/limits.ts';
import { OutputTail } from '../../../payloads/children/output-tail.ts';

it('keeps the last lines, whole', () => {
  const tail = new OutputTail();
  for (let line = 1; line <= 100_000; line += 1) tail.push(Buffer.from(`line ${line}\r\n`));
  const lines = tail.lines();
  expect(lines).toHaveLength(LOG_TAIL_LINES);
  expect(lines.at(0)).toBe(`line ${100_001 - LOG_TAIL_LINES}`);
  expect(lines.at(-1)).toBe('line 100000');
});

it('cuts a line without end', () => {
  const tail = new OutputTail();
  for (let piece = 0; piece < 100; piece += 1) tail.push(Buffer.alloc(100_000, 'x'));
  expect(tail.lines()).toEqual(['x'.repeat(LOG_LINE_CHARS_MAX)]);
  tail.clear();
  expect(tail.lines()).toEqual([]);
});
