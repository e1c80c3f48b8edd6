import { delimiter, join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Optional peers, which tests use where they are installed: see CONTRIBUTING.md. What tests start finds them as well. */
const PEERS = join(import.meta.dirname, '.ci', 'peers', 'node_modules');
process.env.NODE_PATH = [process.env.NODE_PATH, PEERS].filter(Boolean).join(delimiter);

/** Tests against a model, and kills at random moments: they take most of the time and want to be run alone. */
const PROOFS = ['test/**/*.model.test.ts', 'test/**/crash/*.test.ts'];

/**
 * Two cores are the reference machine: files run in forked processes, two at a time, because the native addons
 * (lmdb, zeromq) and the tests that kill things must not share a process with other tests.
 */
export default defineConfig({
  test: {
    pool: 'forks',
    setupFiles: ['test/property-seed.ts'],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    projects: [
      { extends: true, test: { name: 'parts', include: ['test/**/*.test.ts'], exclude: PROOFS } },
      { extends: true, test: { name: 'proofs', include: PROOFS } },
    ],
  },
});
