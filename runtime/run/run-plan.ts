/**
 * What a run would do, found out without running: inputs read and counted, ranges and outputs laid out, the event table
 * of an earlier start looked at. Refuses what the run would refuse. Writes to the output folder only what an earlier
 * start keeps there anyway (its event index).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { placeWithoutSecrets } from '../../core/address-secrets.ts';
import type { CompletedFile } from '../../core/dispatcher-api.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { clipSelection, countSelected } from '../../core/event-selection.ts';
import {
  PLAN_INDEX_BYTES_PER_EVENT,
  PLAN_OUTPUTS_MAX,
  PLAN_TABLE_BYTES_PER_RANGE,
  UNMERGED_FILES_MAX,
} from '../../core/limits.ts';
import { silentLogger } from '../../core/log.ts';
import { RangePlan } from '../../dispatcher/range-plan.ts';
import { openTableReader, type TableReader, type TaskStatus } from '../../dispatcher/table-reader.ts';
import { outputFormat } from '../../payloads/formats/registry.ts';
import { readInputs } from '../inputs/input-reading.ts';
import type { InputSet, UsableInput } from '../inputs/input-set.ts';
import { type DamagedOutput, findDamagedOutputs } from '../merge/completed-check.ts';
import { mergedFileName, streamFormat } from '../merge/output-names.ts';
import type { ResolvedRunOptions } from '../options/options.ts';
import { inputMismatch, type LoadedPayload } from '../payload-loading/describe-payload.ts';
import { loadPayload } from '../payload-loading/load-payload.ts';
import { readSourceOptions } from '../remote/source-options.ts';
import { TemporaryFolder } from '../temporary-folder.ts';
import { estimateStreams, freeBytesAt, type PlannedStream } from './disk-estimate.ts';
import { countEvents } from './event-counts.ts';
import { NodeEvents } from './run-events.ts';
import { lastReport, type RunFolders, runFolders } from './run-folders.ts';
import type { RunSurroundings } from './run-handle.ts';
import { type KnownTask, shapeTask, type TaskShape } from './task-shape.ts';

export interface PlannedInput {
  /** path or URL */
  readonly place: string;
  readonly lfn: string;
  readonly guid: string;
  readonly format: string;
  readonly events: number;
  /** of these, chosen by `--events` */
  readonly chosen: number;
  readonly sizeBytes: number;
}

/** What an earlier start in the same folder has left, in events. */
export interface PlannedResume {
  /** those of damaged outputs counted in */
  readonly finished: number;
  readonly failed: number;
  /** handed out and not answered: done again, unless a complete output of them is found */
  readonly handedOut: number;
  /** merged files that were removed or altered since: their events are made again */
  readonly damaged: readonly { readonly path: string; readonly problem: string; readonly events: number }[];
  /** the code of the payload changed, which the options accept */
  readonly payloadChanged: boolean;
  /** a process that is at it now: the run would be refused */
  readonly runningOn: { readonly host: string; readonly pid: number } | null;
}

/** Scripts depend on these keys: `schema` grows when one changes its meaning or goes. */
export interface RunPlan {
  readonly schema: 1;
  readonly payload: string;
  readonly outFolder: string;
  readonly workers: number;
  readonly seed: number;
  readonly inputs: readonly PlannedInput[];
  readonly refusedInputs: readonly { readonly place: string; readonly code: ErrorCode; readonly message: string }[];
  /** chosen events of all inputs */
  readonly events: number;
  readonly ranges: number;
  /** at most `PLAN_OUTPUTS_MAX` are named */
  readonly outputs: readonly { readonly stream: string; readonly path: string; readonly format: string }[];
  readonly outputCount: number;
  /** null for a run that begins anew */
  readonly resume: PlannedResume | null;
  /** `--fresh` would remove the run that is there */
  readonly removesRun: boolean;
  /** events this start would process, `-n` counted in */
  readonly toProcess: number;
  /** by the length of what was executed so far; null when nothing was */
  readonly expectedMs: number | null;
  readonly disk: {
    readonly streams: readonly PlannedStream[];
    readonly tableBytes: number;
    readonly indexBytes: number;
    /** event files that may wait to be merged */
    readonly unmergedFilesMax: number;
    readonly freeBytes: number;
  };
}

/** @throws what the run would throw before its first event */
export async function planRun(
  options: ResolvedRunOptions,
  surroundings: Pick<RunSurroundings, 'currentFolder' | 'stdin' | 'environment'>,
  signal: AbortSignal,
): Promise<RunPlan> {
  const folders = runFolders(options.outFolder, options.indexFolder);
  await using scratch = await TemporaryFolder.create();
  const index = options.indexFolder !== null || existsSync(folders.index) ? folders.index : join(scratch.path, 'index');
  const payload = await loadPayload({
    nameOrPath: options.payload,
    options: options.payloadOptions,
    bundleFolder: join(scratch.path, 'payloads'),
    log: silentLogger,
    signal,
  });
  const parts = {
    folders: { ...folders, index },
    events: new NodeEvents(silentLogger),
    surroundings,
    sources: await readSourceOptions(options, surroundings.environment),
    signal,
  };
  const inputs = await readInputs(options, parts, (record) => inputMismatch(payload, record));
  return await layOut({ options, folders: { ...folders, index }, payload, inputs });
}

interface PlanFacts {
  readonly options: ResolvedRunOptions;
  readonly folders: RunFolders;
  readonly payload: LoadedPayload;
  readonly inputs: InputSet;
}

async function layOut({ options, folders, payload, inputs }: PlanFacts): Promise<RunPlan> {
  const hasRun = existsSync(join(folders.store, 'data.mdb'));
  const known = hasRun && !options.fresh ? await readKnown(folders, options) : undefined;
  const { payloadChanged, ...shape } = shapeTask({ options, payload, inputs }, known?.task);
  const ranges = new RangePlan(options.eventsPerRange, options.eventsPerOutput ?? undefined);
  for (const file of shape.files) ranges.add(file);
  const damaged = (known?.damaged ?? []).map(({ outputIndex, path, problem }) => {
    return { path, problem, events: eventsOfOutput(ranges, outputIndex) };
  });
  const done = (known?.finished ?? 0) + (known?.failed ?? 0) - damaged.reduce((sum, { events }) => sum + events, 0);
  const toProcess = Math.min(options.limitEvents ?? Number.POSITIVE_INFINITY, ranges.eventCount - done);
  return {
    schema: 1,
    payload: payload.name,
    outFolder: options.outFolder,
    workers: options.workerCount,
    seed: options.seed,
    inputs: inputs.inputs.map((input) => plannedInput(input, options)),
    refusedInputs: inputs.refused.map(({ place, error: { code, message } }) => ({
      place: placeWithoutSecrets(place),
      code,
      message,
    })),
    events: ranges.eventCount,
    ranges: ranges.rangeCount,
    outputs: [...outputNames(shape, ranges)],
    outputCount: ranges.outputCount * shape.streams.length,
    resume: known === undefined ? null : plannedResume(known, damaged, payloadChanged),
    removesRun: hasRun && options.fresh,
    toProcess,
    expectedMs: known?.eventMs === undefined ? null : (toProcess * known.eventMs) / options.workerCount,
    disk: {
      streams: await estimateStreams(shape, ranges.eventCount, folders.index, known?.bytesPerEvent),
      tableBytes: ranges.rangeCount * PLAN_TABLE_BYTES_PER_RANGE,
      indexBytes: inputs.inputs.reduce((sum, { record }) => sum + record.eventCount, 0) * PLAN_INDEX_BYTES_PER_EVENT,
      unmergedFilesMax: UNMERGED_FILES_MAX,
      freeBytes: await freeBytesAt(options.outFolder),
    },
  };
}

function plannedInput({ place, record }: UsableInput, { events }: ResolvedRunOptions): PlannedInput {
  const { lfn, guid, format, eventCount, sizeBytes } = record;
  const chosen = events === null ? eventCount : countSelected(clipSelection(events, eventCount));
  return { place: placeWithoutSecrets(place), lfn, guid, format, events: eventCount, chosen, sizeBytes };
}

function* outputNames({ files, streams, naming }: TaskShape, ranges: RangePlan): Generator<RunPlan['outputs'][number]> {
  let left = PLAN_OUTPUTS_MAX;
  for (let outputIndex = 0; outputIndex < ranges.outputCount && left > 0; outputIndex += 1) {
    const file = files[ranges.fileOf(ranges.outputSpan(outputIndex).firstRange)];
    if (file === undefined) continue;
    for (const stream of streams.slice(0, left)) {
      const format = streamFormat(stream, file.format);
      const output = { outputIndex, lfn: file.lfn };
      yield {
        stream: stream.name,
        path: mergedFileName(naming, output, stream.name, outputFormat(format).fileExtension),
        format,
      };
      left -= 1;
    }
  }
}

interface KnownRun extends Omit<PlannedResume, 'payloadChanged' | 'damaged'> {
  readonly task: KnownTask;
  readonly damaged: readonly DamagedOutput[];
  /** mean time in `execute`; undefined before the first event */
  readonly eventMs: number | undefined;
  /** merged bytes per event, by stream */
  readonly bytesPerEvent: ReadonlyMap<string, number>;
}

function plannedResume(
  { finished, failed, handedOut, runningOn }: KnownRun,
  damaged: PlannedResume['damaged'],
  payloadChanged: boolean,
): PlannedResume {
  return { finished, failed, handedOut, damaged, payloadChanged, runningOn };
}

function eventsOfOutput(ranges: RangePlan, outputIndex: number): number {
  const { firstRange, endRange } = ranges.outputSpan(outputIndex);
  let count = 0;
  for (let range = firstRange; range < endRange; range += 1) count += ranges.eventCountOf(range);
  return count;
}

async function readKnown(folders: RunFolders, { verifyOutputs }: ResolvedRunOptions): Promise<KnownRun | undefined> {
  const table = openTableReader(folders.store);
  try {
    const [status] = table.tasks();
    if (status === undefined) return undefined;
    const { record } = status;
    const { finished, failed } = countEvents(status.events);
    const holder = table.holder();
    return {
      task: { record, files: [...table.files(record.taskID)] },
      damaged: await findDamagedOutputs(
        folders,
        completedFiles(table, record.taskID),
        verifyOutputs ? 'all' : await lastReport(folders),
      ),
      finished,
      failed,
      handedOut: status.events.sent + status.events.running,
      runningOn: holder === undefined ? null : { host: holder.host, pid: holder.pid },
      eventMs: finished === 0 ? undefined : status.totals.wallMs / finished,
      bytesPerEvent: measureOutputs(table, status),
    };
  } finally {
    await table.close();
  }
}

function completedFiles(table: TableReader, taskID: number): CompletedFile[] {
  return table
    .outputs(taskID)
    .flatMap(({ outputIndex, files = [] }) => files.map((file) => ({ outputIndex, ...file })));
}

function measureOutputs(table: TableReader, { record, events }: TaskStatus): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const { stream, sizeBytes } of completedFiles(table, record.taskID)) {
    sizes.set(stream, (sizes.get(stream) ?? 0) + sizeBytes);
  }
  return new Map([...sizes].map(([stream, bytes]) => [stream, bytes / Math.max(1, events.merged)]));
}
