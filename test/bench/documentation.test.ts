import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { scenarioNames } from '../../bench/scenario-list.ts';

const PAGE = readFileSync(new URL('../../docs/benchmarks.md', import.meta.url), 'utf8');

describe('docs/benchmarks.md', () => {
  it.each(scenarioNames())('has a section on %s', (name) => {
    expect(PAGE).toContain(`\n## ${name}\n`);
  });
});
