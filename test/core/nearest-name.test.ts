import { describe, expect, it } from 'vitest';
import { nearestNames, suggestNames } from '../../core/nearest-name.ts';

const PAYLOADS = ['digest', 'spin', 'fastsim', 'hepmc-filter', 'command', 'coprocess'];

describe('nearest names', () => {
  it.each([
    ['digets', ['digest']],
    ['fast-sim', ['fastsim']],
    ['HEPMC_FILTER', ['hepmc-filter']],
    ['hepmc', ['hepmc-filter']],
    ['comand', ['command']],
    ['xyz', []],
    ['', []],
  ])('of %s are %j', (name, expected) => expect(nearestNames(name, PAYLOADS)).toEqual(expected));

  it('become a question, or nothing', () => {
    expect(suggestNames('spn', PAYLOADS)).toBe('did you mean "spin"?');
    expect(suggestNames('analysis', PAYLOADS)).toBeUndefined();
  });
});
