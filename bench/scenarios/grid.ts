/**
 * A grid of many consumers in virtual time on the real dispatcher: what is executed, wasted and refused, what it costs
 * the dispatcher, and whether it keeps its promises. Also the tool for questions such as how long a lease should be.
 */
import { formatCount } from '../../core/quantities.ts';
import type { GridOutcome, GridSettings } from '../grid/grid-settings.ts';
import { GridSimulation } from '../grid/grid-simulation.ts';
import { barChart } from '../pictures/bar-chart.ts';
import { defineScenario, type Picture } from '../scenario.ts';
import type { Measure } from '../statistics.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

export const scenario = defineScenario({
  summary: 'A simulated grid of many consumers on the real dispatcher: promises checked, waste and CPU time measured',
  options: {
    consumers: { help: 'consumers, each executing one event at a time', default: 100_000, quick: 5000 },
    seed: { help: 'equal seeds give equal runs', default: 1 },
    eventsPerConsumer: { help: 'events of the task for each consumer', default: 5 },
    eventMinutes: { help: 'mean length of an event', default: 6 },
    sigma: { help: 'of the logarithm of the length (log-normal)', default: 0.5 },
    leaseMinutes: { help: 'lease of a consumer; it shows that it lives three times as often', default: 10 },
    ranges: { help: 'ranges a consumer asks for at once', default: 1 },
    deathsPercentPerHour: { help: 'consumers that die without a word', default: 1 },
    silencesPercentPerHour: { help: 'consumers that fall silent for about two leases and come back', default: 1 },
    failuresPercent: { help: 'executions that fail', default: 0.1 },
    echoesPercent: { help: 'reports that are sent again', default: 1 },
    dispatcherDeaths: { help: 'deaths of the dispatcher over the run', default: 3 },
    flushMs: { help: 'virtual time between two groups of changes', default: 5 },
  },
  async run({ options, signal, progress }) {
    const settings: GridSettings = {
      seed: options.seed,
      consumers: options.consumers,
      events: options.consumers * options.eventsPerConsumer,
      meanEventMs: options.eventMinutes * MINUTE_MS,
      lengthSigma: options.sigma,
      leaseMs: options.leaseMinutes * MINUTE_MS,
      rangesPerRequest: options.ranges,
      deathsPerHour: options.deathsPercentPerHour / 100,
      silencesPerHour: options.silencesPercentPerHour / 100,
      failureFraction: options.failuresPercent / 100,
      echoFraction: options.echoesPercent / 100,
      dispatcherDeaths: options.dispatcherDeaths,
      flushMs: options.flushMs,
    };
    return report(settings, await new GridSimulation(settings).run(signal, progress));
  },
});

const hours = (ms: number): string => `${(ms / HOUR_MS).toFixed(2)} h`;

function report(settings: GridSettings, outcome: GridOutcome) {
  const { executed, elapsedMs, dispatcherCpuMs, wastedMs, executedMs } = outcome;
  const cpuMicrosPerEvent = (dispatcherCpuMs * 1000) / executed;
  const coresUsed = dispatcherCpuMs / elapsedMs;
  const wastedFraction = wastedMs / executedMs;
  const idealMs = (settings.events * settings.meanEventMs) / settings.consumers;
  const values = {
    ...outcome,
    seed: settings.seed,
    consumers: settings.consumers,
    events: settings.events,
    cpuMicrosPerEvent,
    coresUsed,
    wastedFraction,
    elapsedToIdeal: elapsedMs / idealMs,
    eventsPerSecond: executed / (elapsedMs / 1000),
    violations: 0,
  };
  const measures: readonly Measure[] = [
    { name: 'dispatcher CPU per event', unit: 'µs', better: 'lower', values: [cpuMicrosPerEvent] },
    { name: 'wasted execution', unit: 'fraction', better: 'lower', values: [wastedFraction] },
    { name: 'longest look at leases', unit: 'ms', better: 'lower', values: [outcome.longestTickMs] },
  ];
  const percent = (fraction: number): string => `${(fraction * 100).toFixed(2)} %`;
  return {
    values,
    measures,
    tables: [
      {
        title: `Grid of ${settings.consumers} consumers, ${settings.events} events, seed ${settings.seed}`,
        columns: [{ title: 'what' }, { title: 'measured', align: 'right' }],
        rows: [
          ['events committed', String(outcome.committed)],
          ['events given up (failures, losses)', String(outcome.fatal)],
          ['executions', String(executed)],
          ['execution time that nobody needed', percent(wastedFraction)],
          ['reports refused as stale', String(outcome.stale)],
          ['reports recognised as echoes', String(outcome.duplicate)],
          ['consumers that died', String(outcome.consumerDeaths)],
          ['ranges taken back after a lease', String(outcome.lost)],
          ['deaths of the dispatcher', String(outcome.dispatcherDeaths)],
          ['virtual time (ideal for these events)', `${hours(elapsedMs)} (${hours(idealMs)})`],
          ['dispatcher CPU per execution', `${cpuMicrosPerEvent.toFixed(1)} µs`],
          ['cores the dispatcher would use', coresUsed.toFixed(4)],
          ['longest look at leases', `${outcome.longestTickMs.toFixed(1)} ms`],
          ['broken promises', '0'],
          ['digest of the run', outcome.digest],
        ],
      },
    ],
    pictures: [timePicture(elapsedMs, idealMs), fatePicture(outcome)],
    notes: [
      'Virtual time, one thread, a store in memory; the dispatcher is the real one. A broken promise would have ended the run with an error.',
      'CPU time is that of the dispatcher and its store, restarts and merge commits included; the flush of a disk is not in it.',
    ],
  } as const;
}

function timePicture(elapsedMs: number, idealMs: number): Picture {
  const title = 'virtual time until every event is merged, in hours';
  const bars = [
    { label: 'this grid', values: [elapsedMs] },
    { label: 'all consumers always busy', values: [idealMs] },
  ];
  return { title, svg: barChart({ title, bars, format: hours }) };
}

function fatePicture(outcome: GridOutcome): Picture {
  const title = 'executions and what became of events and reports, as counts';
  const bars = [
    { label: 'executions', values: [outcome.executed] },
    { label: 'events committed', values: [outcome.committed] },
    { label: 'events given up', values: [outcome.fatal] },
    { label: 'taken back after a lease', values: [outcome.lost] },
    { label: 'reports refused as stale', values: [outcome.stale] },
    { label: 'reports that were echoes', values: [outcome.duplicate] },
  ];
  return { title, svg: barChart({ title, bars, format: formatCount }) };
}
