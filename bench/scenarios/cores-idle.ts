/**
 * The same events with files, chunks and single events as the unit of hand-out, on the same pool: how long until all are
 * done, how busy the cores are, and what a kill would cost. Once with CPU work for every core, once with events that
 * wait on a timer, for more workers than there are cores.
 *
 * All go through the same flow; only the size of an event range differs, so nothing else can.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WORKERS_MAX } from '../../core/limits.ts';
import { moduleUrl } from '../../core/own-files.ts';
import { DISTRIBUTIONS } from '../../payloads/builtin/spin-options.ts';
import {
  GRANULARITIES,
  type Granularity,
  type Measured,
  type MeasuredBy,
  measuresOf,
  medians,
  pictureOf,
  type Setting,
  tableOf,
} from '../cores-idle-results.ts';
import { runFlow } from '../flow-run.ts';
import { correlatedHints, longestFirst } from '../ideal-schedule.ts';
import { laneFigures, readLanes } from '../lanes.ts';
import { defineScenario, type ScenarioContext } from '../scenario.ts';
import { interleave } from '../statistics.ts';
import { calibrateUnits, drawLengths, recordedLengths, writeTimedFiles } from '../timed-work.ts';

/** Left out in quick runs, to be done in 30 s: most of a short run is its start. */
const LEFT_OUT_QUICK: Granularity = 'longestFirstGuessed';
/** In quick runs workers that wait are measured once: there are more of them to start, and they disturb each other less. */
const REPEATS_WAITING_QUICK = 1;
const HINT_CORRELATION = 0.7;
const FILES_PER_WORKER = 4;
const HINT_SEED = 7;
const PAYLOAD = fileURLToPath(moduleUrl('bench/payloads/timed-events.ts'));

/** One granularity: its input and how it is handed out. */
interface Plan {
  readonly inputs: readonly string[];
  readonly eventsPerRange: number;
  readonly order: 'file' | 'longest-first';
  /** units in the order of hand-out */
  readonly unitOrder: readonly number[];
}

export const scenario = defineScenario({
  summary: 'how busy cores are kept with files, chunks and single events as the unit of work',
  options: {
    workers: { help: 'workers with CPU work; 0: one per core', default: 0 },
    waiting: { help: `workers with events that wait on a timer, up to 128; 0: none`, default: 64, quick: 8 },
    events: { help: 'events per worker', default: 40, quick: 20 },
    dist: { help: 'law of the lengths', default: 'pareto', choices: [...DISTRIBUTIONS] },
    mean: { help: 'mean length in ms', default: 1000, quick: 50 },
    alpha: { help: 'exponent of the Pareto law', default: 1.5 },
    max: { help: 'longest event in ms', default: 6000, quick: 400 },
    lengths: { help: 'output folder of a run whose recorded lengths are taken instead of a law', default: '' },
  },
  quickRepeats: 2,
  async run(context) {
    const { options } = context;
    const cpuWorkers = options.workers === 0 ? availableParallelism() : Math.min(options.workers, WORKERS_MAX);
    const law = { dist: options.dist, meanMs: options.mean, alpha: options.alpha, maxMs: options.max };
    const lengthsFor = (workerCount: number): Promise<number[]> | number[] => {
      const eventCount = workerCount * options.events;
      return options.lengths === '' ? drawLengths(law, eventCount) : recordedLengths(options.lengths, eventCount);
    };
    const settings: Setting[] = [
      {
        name: 'cpu',
        workerCount: cpuWorkers,
        lengthsMs: await lengthsFor(cpuWorkers),
        unitsPerMs: calibrateUnits(),
      },
    ];
    if (options.waiting > 0) {
      const workerCount = Math.min(options.waiting, 128);
      settings.push({ name: 'wait', workerCount, lengthsMs: await lengthsFor(workerCount), unitsPerMs: null });
    }
    const measured: (readonly [Setting, MeasuredBy])[] = [];
    for (const setting of settings) measured.push([setting, await measureSetting(setting, context)]);
    const [cpu, wait] = measured;
    return {
      values: {
        workers: cpuWorkers,
        granularities: cpu === undefined ? {} : medians(cpu[1]),
        waiting: wait === undefined ? null : { workers: wait[0].workerCount, granularities: medians(wait[1]) },
      },
      measures: measured.flatMap(([setting, by]) => measuresOf(setting, by)),
      tables: measured.map(([setting, by]) => tableOf(setting, by)),
      pictures: measured.map(([setting, by]) => pictureOf(setting, by)),
      notes: [
        'The clock starts when the last worker has initialized its payload and stops when the last event is durably finished.',
        'The bound and the ideal schedules are computed from the lengths measured in the same run: ' +
          'bound = max(total / workers, longest event), ideal = pulling the same units in the same order without overhead.',
        'busy: CPU time in execute (for waiting events their time) / (makespan × workers); until empty: up to the begin of the last unit.',
        'With a CPU worker on every core, all else that granule does takes its time from them: busy lacks all of it, the ratio to ' +
          'the ideal has what falls between two events.',
        'lost on a kill: work done for units that are not finished, as part of all work, over a kill at any moment.',
        'Warm-up: none in a run; every run is a fresh process, started before its clock.',
        ...(options.waiting > 0
          ? [
              'Waiting workers execute a timer and no CPU work. All of them share the cores there are for what granule does ' +
                'between two events.',
            ]
          : []),
      ],
    };
  },
});

async function measureSetting(setting: Setting, context: ScenarioContext): Promise<MeasuredBy> {
  const folder = mkdtempSync(join(context.folders.memory ?? context.folders.disk, `${setting.name}-`));
  try {
    const plans = writePlans(setting, folder);
    const granularities = GRANULARITIES.filter((one) => !context.quick || one !== LEFT_OUT_QUICK);
    const repeatsMax = context.quick && setting.name === 'wait' ? REPEATS_WAITING_QUICK : context.repeats;
    return await interleave(granularities, Math.min(context.repeats, repeatsMax), async (granularity, round) => {
      context.progress(`${setting.workerCount} workers (${setting.name}): ${granularity}, round ${round + 1}`);
      return measure(plans[granularity], setting, { folder, signal: context.signal });
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function writePlans(setting: Setting, folder: string): Readonly<Record<Granularity, Plan>> {
  const { lengthsMs, workerCount, unitsPerMs } = setting;
  const eventCount = lengthsMs.length;
  const eventsPerFile = Math.max(1, Math.ceil(eventCount / (FILES_PER_WORKER * workerCount)));
  const eventsPerChunk = Math.ceil(eventCount / workerCount);
  const guesses = correlatedHints(lengthsMs, HINT_CORRELATION, HINT_SEED);
  const write = (name: string, hintsMs: readonly number[], perFile: number): string[] =>
    writeTimedFiles(join(folder, name), { hintsMs, lengthsMs, unitsPerMs, eventsPerFile: perFile });
  const files = write('files', lengthsMs, eventsPerFile);
  const whole = write('whole', lengthsMs, eventCount);
  const guessed = write('guessed', guesses, eventCount);
  const inOrder = (unitCount: number): number[] => Array.from({ length: unitCount }, (_, unit) => unit);
  return {
    file: { inputs: files, eventsPerRange: eventsPerFile, order: 'file', unitOrder: inOrder(files.length) },
    chunk: {
      inputs: whole,
      eventsPerRange: eventsPerChunk,
      order: 'file',
      unitOrder: inOrder(Math.ceil(eventCount / eventsPerChunk)),
    },
    event: { inputs: whole, eventsPerRange: 1, order: 'file', unitOrder: inOrder(eventCount) },
    longestFirst: { inputs: whole, eventsPerRange: 1, order: 'longest-first', unitOrder: longestFirst(lengthsMs) },
    longestFirstGuessed: {
      inputs: guessed,
      eventsPerRange: 1,
      order: 'longest-first',
      unitOrder: longestFirst(guesses),
    },
  };
}

async function measure(
  plan: Plan,
  setting: Setting,
  where: { readonly folder: string; readonly signal: AbortSignal },
): Promise<Measured> {
  const out = join(where.folder, 'out');
  try {
    const { summary, finishedMs } = await runFlow(
      {
        options: {
          input: [...plan.inputs],
          payload: PAYLOAD,
          options: { workers: setting.workerCount },
          out,
          workers: setting.workerCount,
          eventsPerRange: plan.eventsPerRange,
          order: plan.order,
          speculate: false,
        },
      },
      where.signal,
    );
    const paths = summary.outputs.map(({ path }) => join(out, path));
    const lanes = readLanes(paths, setting.workerCount, plan.eventsPerRange);
    const waiting = setting.unitsPerMs === null;
    return { lanes, figures: laneFigures(lanes, { order: plan.unitOrder, finishedMs, waiting }) };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}
