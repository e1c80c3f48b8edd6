import { describe, expect, it } from 'vitest';
import { resolveScenarioOptions, type ScenarioOptions } from '../../bench/scenario.ts';

const OPTIONS: ScenarioOptions = {
  events: { help: 'how many', default: 1000, quick: 10 },
  dist: { help: 'law of the lengths', default: 'pareto', choices: ['pareto', 'constant'] },
};

describe('options of a scenario', () => {
  it('have smaller defaults in a quick run where they say so', () => {
    expect(resolveScenarioOptions(OPTIONS, {}, false)).toEqual({ events: 1000, dist: 'pareto' });
    expect(resolveScenarioOptions(OPTIONS, {}, true)).toEqual({ events: 10, dist: 'pareto' });
  });

  it('take what is given in the type of their default', () => {
    expect(resolveScenarioOptions(OPTIONS, { events: '7', dist: 'constant' }, true)).toEqual({
      events: 7,
      dist: 'constant',
    });
  });

  it.each([
    [{ evnts: '7' }, 'no option "evnts"'],
    [{ events: 'many' }, 'option events: "many" is not a number'],
    [{ events: '-1' }, 'not a number of at least 0'],
    [{ dist: 'gauss' }, 'not one of pareto, constant'],
  ])('refuse %j', (given: Record<string, string>, message) => {
    expect(() => resolveScenarioOptions(OPTIONS, given, false)).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message) }),
    );
  });
});
