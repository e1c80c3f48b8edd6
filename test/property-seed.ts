/**
 * The seed of all property tests, set before each test file. A check repeats one series of random inputs, so that it
 * fails for changes only; `npm run test:long` looks at new ones. GRANULE_TEST_SEED is a number, which repeats a series
 * that failed, or `random`. fast-check prints the seed of what fails.
 */
import fc from 'fast-check';

const chosen = process.env['GRANULE_TEST_SEED'] ?? '9620305';

export const PROPERTY_SEED = chosen === 'random' ? Date.now() % 0x7fffffff : Number(chosen);

fc.configureGlobal({ seed: PROPERTY_SEED });
