import { defineConfig } from 'vitest/config';

/**
 * Two cores are the reference machine: files run in forked processes, two at a time, because the native addons
 * (lmdb, zeromq) and the tests that kill things must not share a process with other tests.
 */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
  },
});
