import { expect, it } from 'vitest';
import { resolveScenarioOptions } from '../../../bench/scenario.ts';
import { loadScenario } from '../../../bench/scenario-list.ts';

async function simulate(given: Readonly<Record<string, string>>) {
  const scenario = await loadScenario('grid');
  const { values, pictures } = await scenario.run({
    options: resolveScenarioOptions(scenario.options, given, true),
    quick: true,
    repeats: 1,
    folders: { memory: null, disk: '/nowhere' },
    signal: new AbortController().signal,
    progress: () => undefined,
  });
  expect(pictures.length).toBeGreaterThan(0);
  for (const { svg } of pictures) expect(svg).not.toContain('NaN');
  return values;
}

/** Everything goes wrong all the time. */
const ROUGH = {
  consumers: '60',
  eventsPerConsumer: '8',
  ranges: '4',
  leaseMinutes: '5',
  deathsPercentPerHour: '60',
  silencesPercentPerHour: '200',
  failuresPercent: '10',
  echoesPercent: '20',
  dispatcherDeaths: '6',
};

it('a simulated grid commits every event once, whatever its consumers and its dispatcher do', async () => {
  const values = await simulate(ROUGH);
  expect(values).toMatchObject({ events: 480, violations: 0, dispatcherDeaths: 6 });
  expect(Number(values['committed']) + Number(values['fatal'])).toBe(480);
  for (const count of ['stale', 'duplicate', 'consumerDeaths', 'lost']) expect(values[count]).toBeGreaterThan(0);
});

it('a simulated grid is the same for the same seed, and another one for another', async () => {
  const [one, again, other] = [await simulate(ROUGH), await simulate(ROUGH), await simulate({ ...ROUGH, seed: '2' })];
  expect(again['digest']).toBe(one['digest']);
  expect(again['elapsedMs']).toBe(one['elapsedMs']);
  expect(other['digest']).not.toBe(one['digest']);
});

it('a shorter lease gets the events of dead consumers done sooner', async () => {
  const dying = { consumers: '200', eventsPerConsumer: '4', deathsPercentPerHour: '30', silencesPercentPerHour: '0' };
  const short = await simulate({ ...dying, leaseMinutes: '2' });
  const long = await simulate({ ...dying, leaseMinutes: '120' });
  expect(Number(short['elapsedMs'])).toBeLessThan(Number(long['elapsedMs']));
});
