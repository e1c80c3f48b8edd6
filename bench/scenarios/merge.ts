/**
 * Fast and slow merge against a bare loop that opens, reads and appends the same files, at 1 kB and 500 kB a file.
 *
 * The bare loop is one thread that checks nothing and removes nothing. The merge checks every file's size and CRC-32,
 * flushes and commits stretch by stretch, removes the files, and takes the SHA-256 of the merged file. Its clock stops
 * twice: when the last event is durably committed, and when the file is complete, published and the last input removed.
 */
import { closeSync, fdatasyncSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../../core/assert.ts';
import type { MergeItem } from '../../core/dispatcher-api.ts';
import { guidFromSha256 } from '../../core/ids.ts';
import { silentLogger } from '../../core/log.ts';
import { formatCount } from '../../core/quantities.ts';
import type { OutputFormatName } from '../../payloads/formats/event-format.ts';
import { outputFormat } from '../../payloads/formats/registry.ts';
import type { MergeMode } from '../../runtime/merge/merge-messages.ts';
import { MergeService } from '../../runtime/merge/merge-service.ts';
import { BenchJournal, STREAM, writeSingleEventFiles } from '../merge-work.ts';
import { barChart } from '../pictures/bar-chart.ts';
import { defineScenario, type Picture, type ResultTable } from '../scenario.ts';
import { describeSummary, interleave, type Measure, median, ratios } from '../statistics.ts';

/**
 * What goes through the same threads first, in all variants alike: threads begin with code that is not compiled, and
 * compilers settle after some twenty thousand files, however many are measured. Of large files fewer warm up.
 */
const WARM_UP_FILES = 25_000;
const WARM_UP_BYTES = 100_000_000;

const VARIANTS = ['append', 'fast', 'slow'] as const;
type Variant = (typeof VARIANTS)[number];

interface Timing {
  readonly committedMs: number;
  /** published, inputs removed; the same for the bare loop */
  readonly completeMs: number;
  /** CPU time of all threads from first to last */
  readonly cpuMs: number;
}

interface Work {
  readonly folder: string;
  readonly format: OutputFormatName;
  readonly sizeBytes: number;
  readonly fileCount: number;
}

interface SizeResult {
  readonly title: string;
  readonly work: Work;
  readonly timings: Readonly<Record<Variant, readonly Timing[]>>;
}

export const scenario = defineScenario({
  summary: 'Fast and slow merge against a bare loop that reads and appends the same files',
  options: {
    format: { help: 'format of the files', default: 'gev', choices: ['gev', 'ndjson', 'hepmc3', 'hepmc2'] },
    smallFiles: { help: 'files of 1 kB in each measurement', default: 60_000, quick: 30_000 },
    largeFiles: { help: 'files of 500 kB in each measurement', default: 1200, quick: 400 },
  },
  async run(context) {
    const { options, repeats, folders } = context;
    const base = folders.memory ?? folders.disk;
    const format = options.format as OutputFormatName;
    const results: SizeResult[] = [];
    for (const [title, sizeBytes, fileCount] of [
      ['1kB', 1000, options.smallFiles],
      ['500kB', 500_000, options.largeFiles],
    ] as const) {
      const work = { folder: join(base, 'work'), format, sizeBytes, fileCount };
      const timings = await interleave(VARIANTS, repeats, (variant, round) => {
        context.signal.throwIfAborted();
        context.progress(`${title}: ${variant}, round ${round + 1} of ${repeats}`);
        return measure(work, variant);
      });
      results.push({ title, work, timings });
    }
    return {
      values: { format, fast: valuesOf(results, 'fast'), slow: valuesOf(results, 'slow') },
      measures: results.flatMap(measuresOf),
      tables: [tableOf(results)],
      pictures: results.map(pictureOf),
      notes: [
        `Files lie on ${folders.memory === null ? 'disk: there is no memory file system' : 'a memory file system'}.`,
        'The bare loop opens, reads and appends in one thread; it checks and removes nothing.',
        'The merge checks size and CRC-32 of each file, flushes and commits each stretch, removes the files and takes ' +
          'the SHA-256 of the result, with two threads beside the main one.',
        'ratioToAppend: until the last event is durably committed. ratioToAppendComplete: until the file is complete ' +
          'with its digest and the last input is removed.',
        `Warm-up: ${results.map(({ title, work }) => `${warmUpOf(work)} files of ${title}`).join(', ')} before, through the ` +
          'same threads. The journal is in memory: the event table has its own benchmark.',
      ],
    };
  },
});

async function measure(work: Work, variant: Variant): Promise<Timing> {
  mkdirSync(work.folder, { recursive: true });
  try {
    return variant === 'append' ? measureAppend(work) : await measureMerge(work, variant);
  } finally {
    rmSync(work.folder, { recursive: true });
  }
}

function measureAppend(work: Work): Timing {
  const { folder, sizeBytes } = work;
  const warmUpCount = warmUpOf(work);
  const warmUp = writeSingleEventFiles(folder, outputFormat(work.format), {
    firstRange: 0,
    count: warmUpCount,
    sizeBytes,
  });
  const files = { firstRange: warmUpCount, count: work.fileCount, sizeBytes };
  const items = writeSingleEventFiles(folder, outputFormat(work.format), files);
  appendAll(folder, warmUp);
  const cpu = process.cpuUsage();
  const start = performance.now();
  appendAll(folder, items);
  const wallMs = performance.now() - start;
  return { committedMs: wallMs, completeMs: wallMs, cpuMs: cpuMsSince(cpu) };
}

function appendAll(folder: string, items: readonly MergeItem[]): void {
  const target = openSync(join(folder, 'appended'), 'w');
  let buffer = Buffer.alloc(0);
  for (const item of items) {
    for (const { file, lengthBytes } of item.kind === 'finished' ? item.outputs : []) {
      if (buffer.length < lengthBytes) buffer = Buffer.allocUnsafe(lengthBytes);
      const source = openSync(join(folder, file), 'r');
      const count = readSync(source, buffer, 0, lengthBytes, null);
      closeSync(source);
      writeSync(target, buffer, 0, count);
    }
  }
  fdatasyncSync(target);
  closeSync(target);
}

async function measureMerge(work: Work, mode: MergeMode): Promise<Timing> {
  const { folder, sizeBytes, fileCount } = work;
  const folders = { out: folder, growing: join(folder, 'growing'), aggregation: join(folder, 'unmerged') };
  const format = outputFormat(work.format);
  const warmUpCount = warmUpOf(work);
  // The output ends with one file more, so that its completion can be told from its growth.
  const rangeCount = warmUpCount + fileCount + 1;
  const write = (firstRange: number, count: number): MergeItem[] =>
    writeSingleEventFiles(folders.aggregation, format, { firstRange, count, sizeBytes });
  const [warmUp, measured, last] = [write(0, warmUpCount), write(warmUpCount, fileCount), write(rangeCount - 1, 1)];
  const journal = new BenchJournal(rangeCount);
  const service = startService(journal, folders, { format: work.format, mode });
  // As a run does, whose outputs tell their sizes when they are finished.
  service.expectOutputs(sizeBytes);
  try {
    journal.offer(warmUp);
    await service.flush();
    journal.offer(measured);
    const cpu = process.cpuUsage();
    const start = performance.now();
    await service.flush();
    const committedMs = performance.now() - start;
    journal.offer(last);
    await service.flush();
    await service.close();
    assert(journal.completed[0]?.recordCount === rangeCount, 'every file was merged');
    return { committedMs, completeMs: performance.now() - start, cpuMs: cpuMsSince(cpu) };
  } finally {
    await service.close();
  }
}

function startService(
  journal: BenchJournal,
  folders: { readonly out: string; readonly growing: string; readonly aggregation: string },
  how: { readonly format: OutputFormatName; readonly mode: MergeMode },
): MergeService {
  const guid = guidFromSha256(new Uint8Array(32));
  return MergeService.start({
    api: journal,
    taskID: 1,
    folders,
    streams: [{ name: STREAM, format: how.format }],
    naming: { kind: 'task', taskName: 'bench' },
    inputFile: () => ({ fileIndex: 0, guid, lfn: 'bench', format: 'hepmc3', eventCount: 1 }),
    mode: how.mode,
    log: silentLogger,
    onCommit: () => undefined,
    // The call that waits for the merge rejects with the same error.
    onFailure: () => undefined,
  });
}

function warmUpOf(work: Work): number {
  return Math.min(work.fileCount, WARM_UP_FILES, Math.ceil(WARM_UP_BYTES / work.sizeBytes));
}

function cpuMsSince(begin: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(begin);
  return (user + system) / 1000;
}

function ratiosOf({ timings }: SizeResult, variant: Variant, moment: 'committedMs' | 'completeMs'): number[] {
  const append = timings.append.map(({ committedMs }) => committedMs);
  return ratios(
    append,
    timings[variant].map((timing) => timing[moment]),
  );
}

/** `ratioToAppend` beside the sizes is the smaller of theirs. */
function valuesOf(results: readonly SizeResult[], variant: 'fast' | 'slow'): object {
  const sizes = results.map((result) => {
    const { title, work, timings } = result;
    const committedMs = median(timings[variant].map((timing) => timing.committedMs));
    const cpuMs = median(timings[variant].map((timing) => timing.cpuMs));
    const values = {
      ratioToAppend: median(ratiosOf(result, variant, 'committedMs')),
      ratioToAppendComplete: median(ratiosOf(result, variant, 'completeMs')),
      filesPerSecond: (1000 * work.fileCount) / committedMs,
      cpuMicrosPerFile: (1000 * cpuMs) / work.fileCount,
    };
    return [title, values] as const;
  });
  return {
    ratioToAppend: Math.min(...sizes.map(([, { ratioToAppend }]) => ratioToAppend)),
    ...Object.fromEntries(sizes),
  };
}

function measuresOf(result: SizeResult): Measure[] {
  const variants = (['fast', 'slow'] as const).flatMap((variant) => {
    const unit = { unit: 'ratio', better: 'higher' } as const;
    return [
      { name: `${variant} ${result.title} / append`, ...unit, values: ratiosOf(result, variant, 'committedMs') },
      {
        name: `${variant} ${result.title} / append, complete`,
        ...unit,
        values: ratiosOf(result, variant, 'completeMs'),
      },
    ];
  });
  return [
    ...variants,
    { name: `append ${result.title}`, unit: 'files/s', better: 'higher', values: filesPerSecond(result, 'append') },
  ];
}

function filesPerSecond(
  { work, timings }: SizeResult,
  variant: Variant,
  moment: 'committedMs' | 'completeMs' = 'committedMs',
): number[] {
  return timings[variant].map((timing) => (1000 * work.fileCount) / timing[moment]);
}

function tableOf(results: readonly SizeResult[]): ResultTable {
  const twoDigits = (value: number) => value.toFixed(2);
  return {
    title: 'Merging single-event files',
    columns: [
      { title: 'file' },
      { title: 'how' },
      { title: 'files/s', align: 'right' },
      { title: 'of append', align: 'right' },
      { title: 'of append, until complete', align: 'right' },
    ],
    rows: results.flatMap((result) =>
      VARIANTS.map((variant) => [
        result.title,
        variant,
        describeSummary(filesPerSecond(result, variant), (value) => value.toFixed(0)),
        variant === 'append' ? '' : describeSummary(ratiosOf(result, variant, 'committedMs'), twoDigits),
        variant === 'append' ? '' : describeSummary(ratiosOf(result, variant, 'completeMs'), twoDigits),
      ]),
    ),
  };
}

function pictureOf(result: SizeResult): Picture {
  const title = `merging files of ${result.title}: files per second`;
  const bars = [
    { label: 'bare loop', values: filesPerSecond(result, 'append') },
    ...(['fast', 'slow'] as const).flatMap((variant) => [
      { label: `${variant}, until committed`, values: filesPerSecond(result, variant, 'committedMs') },
      { label: `${variant}, until complete`, values: filesPerSecond(result, variant, 'completeMs') },
    ]),
  ];
  return { title, svg: barChart({ title, bars, format: (value) => `${formatCount(value)} /s` }) };
}
