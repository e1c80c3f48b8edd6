/**
 * What a kill costs: the built program is killed with SIGKILL at random moments and the same command given again, until
 * the task is done. How many events were executed twice, whether anything is missing from the outputs, and how long it
 * takes until all workers are at work again.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { WORKERS_MAX } from '../../core/limits.ts';
import { createRandom, type Random } from '../../core/random.ts';
import { openTableReader } from '../../dispatcher/table-reader.ts';
import { runFolders } from '../../runtime/run/run-folders.ts';
import { barChart } from '../pictures/bar-chart.ts';
import { LOGGED_EVENTS, readExecutions, runProgram, startProgram } from '../program-run.ts';
import { defineScenario, type ScenarioContext } from '../scenario.ts';
import { describeSummary, type Measure, median } from '../statistics.ts';
import { calibrateUnits } from '../timed-work.ts';

const SEED = 4711;
/** How often the log is looked at while the program runs. */
const LOOK_MS = 5;

interface Task {
  readonly folder: string;
  readonly input: string;
  readonly eventCount: number;
  readonly workerCount: number;
  readonly units: number;
  /** of the outputs of a run that nobody killed */
  readonly digest: string;
  readonly signal: AbortSignal;
}

/** One task that was killed again and again. */
interface KilledTask {
  readonly kills: number;
  /** executions beyond one per event */
  readonly eventsRedone: number;
  /** at the kills: handed to `execute`, not durably acknowledged */
  readonly inExecution: number;
  readonly outputsLost: number;
  /** of every start after a kill */
  readonly backToFullRateMs: readonly number[];
}

export const scenario = defineScenario({
  summary: 'kill the program at random moments: what is done twice, what is lost, how soon it is back',
  options: {
    events: { help: 'events in a task', default: 3000, quick: 800 },
    mean: { help: 'CPU time of an event in ms', default: 2 },
    kills: { help: 'kills of each task', default: 4, quick: 2 },
    workers: { help: 'workers; 0: one per core', default: 0 },
  },
  async run(context) {
    const { options, repeats, folders } = context;
    const workerCount = options.workers === 0 ? availableParallelism() : Math.min(options.workers, WORKERS_MAX);
    const folder = mkdtempSync(join(folders.memory ?? folders.disk, 'kill-'));
    try {
      const input = join(folder, 'events.ndjson');
      writeFileSync(input, Array.from({ length: options.events }, (_, event) => `{"event":${event}}\n`).join(''));
      const work = {
        folder,
        input,
        eventCount: options.events,
        workerCount,
        units: Math.round(options.mean * calibrateUnits()),
        signal: context.signal,
      };
      context.progress('a run that nobody kills');
      const digest = await undisturbedDigest(work);
      const random = createRandom(SEED);
      const tasks: KilledTask[] = [];
      for (let round = 0; round < repeats; round += 1) {
        context.progress(`task ${round + 1} of ${repeats}: ${options.kills} kills`);
        tasks.push(await killTask({ ...work, digest }, options.kills, random));
      }
      return resultOf(tasks, context);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
});

function argumentsFor(task: Pick<Task, 'input' | 'workerCount' | 'units'>, out: string, log: string): string[] {
  return [
    'run',
    ...['--input', task.input, '--out', out, '--workers', String(task.workerCount), '--quiet'],
    ...['--payload', LOGGED_EVENTS, '--option', `log=${log}`, '--option', `units=${task.units}`],
  ];
}

async function undisturbedDigest(task: Omit<Task, 'digest'>): Promise<string> {
  const out = join(task.folder, 'undisturbed');
  // The path of the log is an option of the payload, not part of the outputs.
  await runProgram(argumentsFor(task, out, join(task.folder, 'undisturbed.log')), task.signal);
  return digestOf(mergedFile(out));
}

function mergedFile(out: string): string {
  return join(out, 'events.ndjson.SUM.ndjson');
}

function digestOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

async function killTask(task: Task, killCount: number, random: Random): Promise<KilledTask> {
  const out = join(task.folder, 'out');
  const log = join(task.folder, 'log');
  const backToFullRateMs: number[] = [];
  let inExecution = 0;
  let kills = 0;
  try {
    // Kills come at rising parts of the work, so that each of them meets a task that is not done.
    for (let kill = 0; kill < killCount; kill += 1) {
      const part = (kill + 0.1 + 0.8 * random.uniform()) / (killCount + 1);
      const before = readExecutions(log).length;
      const run = startProgram(argumentsFor(task, out, log), task.signal);
      const wasKilled = await killWhen(run, () => readExecutions(log).length >= part * task.eventCount);
      if (kill > 0) backToFullRateMs.push(allBusyAfterMs(log, before, run.startedMs, task.workerCount));
      if (!wasKilled) break;
      kills += 1;
      inExecution += await countInExecution(out, log);
    }
    const before = readExecutions(log).length;
    const { startedMs } = await runProgram(argumentsFor(task, out, log), task.signal);
    if (kills > 0) backToFullRateMs.push(allBusyAfterMs(log, before, startedMs, task.workerCount));
    return {
      kills,
      eventsRedone: readExecutions(log).length - task.eventCount,
      inExecution,
      outputsLost: countLost(task, out),
      backToFullRateMs: backToFullRateMs.filter(Number.isFinite),
    };
  } finally {
    rmSync(out, { recursive: true, force: true });
    rmSync(log, { force: true });
  }
}

/** Looks at the work done again and again, and kills when it is enough; false when the program ended before. */
async function killWhen(run: ReturnType<typeof startProgram>, isTime: () => boolean): Promise<boolean> {
  const timer = setInterval(() => {
    if (isTime()) run.child.kill('SIGKILL');
  }, LOOK_MS);
  const { code, stderr } = await run.ended;
  clearInterval(timer);
  if (code !== null && code !== 0) throw new Error(`granule ended with exit code ${code}: ${stderr.slice(-2000)}`);
  return code === null;
}

/** From the command to the moment at which every worker had begun an event; infinite when one never did. */
function allBusyAfterMs(log: string, before: number, startedMs: number, workerCount: number): number {
  const firstOf = new Map<number, number>();
  for (const { worker, timeMs } of readExecutions(log).slice(before)) {
    if (!firstOf.has(worker)) firstOf.set(worker, timeMs);
  }
  return firstOf.size < workerCount ? Number.POSITIVE_INFINITY : Math.max(...firstOf.values()) - startedMs;
}

/** Events that were begun and are neither recorded as finished nor lie complete at the aggregation point. */
async function countInExecution(out: string, log: string): Promise<number> {
  const table = openTableReader(runFolders(out).store);
  try {
    const [task] = table.tasks();
    if (task === undefined) return 0;
    const { ranges } = table.events({
      taskID: task.record.taskID,
      states: ['ready', 'sent', 'running', 'failed'],
      limit: Number.MAX_SAFE_INTEGER,
    });
    const begun = new Set(readExecutions(log).map(({ position }) => position));
    return ranges.filter(({ startEvent }) => begun.has(startEvent)).length;
  } finally {
    await table.close();
  }
}

/** Events whose record is missing from the merged file; all of them when it is not the file it has to be. */
function countLost(task: Task, out: string): number {
  const path = mergedFile(out);
  if (existsSync(path) && digestOf(path) === task.digest) return 0;
  const found = existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0;
  return Math.max(1, task.eventCount - found);
}

function resultOf(tasks: readonly KilledTask[], { options }: ScenarioContext) {
  const sum = (of: (task: KilledTask) => number): number => tasks.reduce((total, task) => total + of(task), 0);
  const backToFullRateMs = tasks.flatMap((task) => task.backToFullRateMs);
  const kills = sum((task) => task.kills);
  const redone = sum((task) => task.eventsRedone);
  const perKill = tasks.map((task) => task.eventsRedone / Math.max(1, task.kills));
  const measures: Measure[] = [
    { name: 'eventsRedonePerKill', unit: 'events', better: 'lower', values: perKill },
    { name: 'backToFullRateMs', unit: 'ms', better: 'lower', values: backToFullRateMs },
  ];
  const milliseconds = (value: number): string => `${Math.round(value)} ms`;
  const title = 'from the command after a kill to all workers at work';
  return {
    values: {
      kills,
      eventsRedone: redone,
      inExecution: sum((task) => task.inExecution),
      outputsLost: sum((task) => task.outputsLost),
      backToFullRateMs: median(backToFullRateMs),
    },
    measures,
    tables: [
      {
        title: `${kills} kills with SIGKILL in ${tasks.length} tasks of ${options['events']} events`,
        columns: [{ title: '' }, { title: '', align: 'right' as const }],
        rows: [
          ['events executed again', `${redone}`],
          ['events in execution at the kills', `${sum((task) => task.inExecution)}`],
          ['outputs lost', `${sum((task) => task.outputsLost)}`],
          ['back at full rate after', describeSummary(backToFullRateMs, milliseconds)],
        ],
      },
    ],
    pictures: [
      {
        title,
        svg: barChart({ title, bars: [{ label: 'granule run', values: backToFullRateMs }], format: milliseconds }),
      },
    ],
    notes: [
      'In execution: handed to the payload, and not durably acknowledged when the kill came. An event of these whose ' +
        'output was complete on disk is adopted at the next start and not executed again.',
      'Outputs are compared with those of a run that nobody killed, byte for byte.',
      'Back at full rate: every worker has begun an event. Warm-up: none.',
    ],
  };
}
