/** Every micro-benchmark runs; how long it takes is not looked at. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { MicroSuite } from '../../bench/micro/micro-suite.ts';

const FOLDER = new URL('../../bench/micro/', import.meta.url);
const FILES = readdirSync(FOLDER).filter((file) => file.endsWith('.bench.ts') && !file.startsWith('run-suites'));

describe('micro-benchmarks', () => {
  it.each(FILES)('%s runs', async (file) => {
    const { suite } = (await import(new URL(file, FOLDER).href)) as { readonly suite: MicroSuite };
    const { tasks, close } = await suite.open();
    try {
      expect(tasks.length).toBeGreaterThan(0);
      for (const task of tasks) {
        expect(task.count).toBeGreaterThan(0);
        await task.run();
        await task.run();
      }
    } finally {
      await close();
    }
  });
});
