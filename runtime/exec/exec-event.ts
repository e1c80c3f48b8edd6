/**
 * Executes one event of a run again, by itself: the same bytes, payload, options and seed, in a process of its own. Nothing
 * of the run is touched, so it may be on meanwhile. Belongs to the main thread.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Failure } from '../../core/dispatcher-api.ts';
import { EVENTS_FOR_MEDIAN } from '../../core/limits.ts';
import { type LogLevel, silentLogger } from '../../core/log.ts';
import type { RangeToken, WorkerFile } from '../../core/messages.ts';
import { medianLength } from '../../dispatcher/execution-length.ts';
import type { TableReader } from '../../dispatcher/table-reader.ts';
import { outputFormat } from '../../payloads/formats/registry.ts';
import { EventBytes } from '../extraction/event-bytes.ts';
import { TokenExtraction } from '../extraction/token-extraction.ts';
import { streamFormat } from '../merge/output-names.ts';
import { multipleOfMedianMs, type TimeoutRule } from '../options/option-rules.ts';
import { inputMismatch, payloadWhere } from '../payload-loading/describe-payload.ts';
import { EventDataReader } from '../remote/event-data-reader.ts';
import { readSourceOptions } from '../remote/source-options.ts';
import { RootEventReader } from '../root/root-event-reader.ts';
import type { RunFolders } from '../run/run-folders.ts';
import { TemporaryFolder } from '../temporary-folder.ts';
import { makeWritableFolder } from '../writable-folder.ts';
import type { DebuggerAddress } from './exec-order.ts';
import { EXEC_FOLDER, type ExecOutput, freshFolder, putOutput, writtenInRun } from './exec-outputs.ts';
import { type ExecReport, runExecProcess } from './exec-process.ts';
import {
  type EventOfRun,
  findRecordedInput,
  type RecordedEvent,
  type RecordedInput,
  readRecordedEvent,
} from './recorded-event.ts';
import { type ChosenPayload, choosePayload } from './recorded-payload.ts';
import { openRunIndex } from './run-index.ts';

export interface ExecRequest {
  readonly folders: RunFolders;
  readonly table: TableReader;
  readonly event: EventOfRun;
  /** built-in name or absolute path of a payload to take instead of the run's; null for the run's */
  readonly payload: string | null;
  /** options of the payload that take the place of the run's */
  readonly payloadOptions: Readonly<Record<string, string>>;
  /** absolute folder for the outputs; null for a fresh one below the run's own */
  readonly toFolder: string | null;
  /** null for that of the run */
  readonly timeout: TimeoutRule | null;
  readonly debuggerAt: DebuggerAddress | null;
  readonly logLevel: LogLevel;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** receives what the payload prints and logs, at once */
  readonly onText: (text: string) => void;
  /** receives lines that the user should read before that */
  readonly onNotice: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Scripts depend on these keys, which `granule exec --json` prints. */
export interface EventExecution {
  readonly schema: 1;
  readonly outcome: 'finished' | 'failed';
  readonly lfn: string;
  readonly guid: string;
  readonly position: number;
  readonly payload: string;
  /** the payload's code and options are those of the run */
  readonly asRecorded: boolean;
  readonly seed: number;
  /** time in `execute`; absent when the process did not live to tell */
  readonly wallMs?: number;
  readonly outputs: readonly ExecOutput[];
  readonly failure?: Omit<Failure, 'position' | 'logTail'>;
}

/**
 * @throws EVENT_NOT_FOUND, STORE_MISSING, INPUT_NOT_FOUND, INPUT_CHANGED, PAYLOAD_…, SOURCE_…, OUTPUT_UNWRITABLE,
 *   OUTPUT_FAILED, and the signal's reason
 */
export async function execEvent(request: ExecRequest): Promise<EventExecution> {
  const recorded = await readRecordedEvent(request.table, request.folders, request.event);
  await using folder = await TemporaryFolder.create();
  const scratch = folder.path;
  const chosen = await choosePayload({
    identity: recorded.payloadIdentity,
    start: recorded.start,
    runBundles: request.folders.bundles,
    scratchBundles: join(scratch, 'payloads'),
    replacement: request.payload,
    options: request.payloadOptions,
    log: silentLogger,
    signal: request.signal,
  });
  const mismatch = inputMismatch(chosen.payload, request.event.file);
  if (mismatch !== undefined) throw mismatch;
  if (chosen.notice !== undefined) request.onNotice(chosen.notice);
  const report = await execute(request, recorded, chosen, scratch);
  return await conclude(request, recorded, chosen, { report, scratch });
}

async function execute(
  request: ExecRequest,
  recorded: RecordedEvent,
  { payload }: ChosenPayload,
  scratch: string,
): Promise<ExecReport> {
  const { event, debuggerAt, signal } = request;
  const { identity, range, start } = recorded;
  const { file, token, frames } = await extractToken(request, recorded, scratch);
  const folder = join(scratch, 'worker');
  mkdirSync(folder);
  const rule = request.timeout ?? start.timeout;
  return runExecProcess({
    order: {
      settings: {
        workerIndex: 0,
        peer: 'exec',
        payloadUrl: payload.moduleUrl,
        payloadOptions: payload.options,
        outputs: payload.outputs,
        taskID: event.taskID,
        jobID: range.jobID ?? 1,
        taskSeed: identity.seed,
        folder,
        aggregationFolder: join(scratch, 'outputs'),
        sequence: { at: 'EndEvent' },
        outputBytesMax: start.outputBytesMax,
        logLevel: request.logLevel,
        recycleEvents: 0,
        recycleMemoryBytes: 0,
        processingTag: payload.version === undefined ? payload.name : `${payload.name}-${payload.version}`,
      },
      file,
      token,
      frames,
      // Whoever debugs takes their time.
      timeoutMs: debuggerAt === null ? executionTimeoutMs(request, rule) : 0,
      hookTimeoutMs: debuggerAt === null ? start.hookTimeoutMs : 0,
      debuggerAt,
    },
    where: payloadWhere(payload.source),
    currentFolder: start.currentFolder,
    heapMaxMB: start.heapMaxMB,
    onText: request.onText,
    signal,
  });
}

/** The median is that of the lengths which the run has recorded so far. 0 for none. */
function executionTimeoutMs({ table, event, onNotice }: ExecRequest, rule: TimeoutRule): number {
  if (rule.kind === 'off') return 0;
  if (rule.kind === 'fixed') return rule.timeoutMs;
  const { count, medianMs } = medianLength(table.lengthHistogram(event.taskID));
  if (count >= EVENTS_FOR_MEDIAN) return multipleOfMedianMs(rule.factor, medianMs);
  onNotice(`no time-out: the run has executed ${count} events, and a median is that of ${EVENTS_FOR_MEDIAN} at least`);
  return 0;
}

/** The event as a worker of the run would get it: where its bytes lie, or the bytes themselves. */
async function extractToken(
  { event, folders, environment, signal }: ExecRequest,
  { range, start }: RecordedEvent,
  scratch: string,
): Promise<{ readonly file: WorkerFile; readonly token: RangeToken; readonly frames: readonly Uint8Array[] }> {
  await using index = await openRunIndex(folders, start);
  const input: RecordedInput = await findRecordedInput(index, folders, { start, file: event.file, scratch });
  const sources = await readSourceOptions(start, environment);
  const ranges = await EventDataReader.open({ ...sources, prefetchBytesMax: start.prefetchBytesMax }, silentLogger);
  await using reader = new EventBytes(ranges, new RootEventReader(sources, start.branches));
  const extraction = new TokenExtraction(index, reader);
  const { fileIndex } = event.file;
  const { position: startEvent } = event;
  extraction.addFile({ kind: 'extract-file', fileIndex, ...input });
  const attemptNr = Math.max(1, range.attemptNr);
  const { rangeIndex, failures } = range;
  const located = extraction.locate([
    { rangeIndex, fileIndex, startEvent, lastEvent: startEvent, attemptNr, failures },
  ]);
  extraction.plan(located);
  const { files, tokens, frames, refused } = await extraction.load(located, signal);
  const [refusal] = refused;
  if (refusal !== undefined) throw refusal.error;
  const [file] = files;
  const [token] = tokens;
  if (file === undefined || token === undefined) throw new Error('an extraction gives a file and a token');
  return { file, token, frames };
}

async function conclude(
  request: ExecRequest,
  recorded: RecordedEvent,
  { payload, asRecorded }: ChosenPayload,
  { report, scratch }: { readonly report: ExecReport; readonly scratch: string },
): Promise<EventExecution> {
  const { event, folders, table } = request;
  const { lfn, guid, format } = event.file;
  const facts = {
    schema: 1,
    outcome: report.kind,
    lfn,
    guid,
    position: event.position,
    payload: payload.name,
    asRecorded,
    seed: recorded.identity.seed,
    ...(report.wallMs === undefined ? {} : { wallMs: report.wallMs }),
  } as const;
  if (report.kind === 'failed') {
    const { position: _, logTail: __, ...failure } = report.failure;
    return { ...facts, outputs: [], failure };
  }
  if (report.outputs.length === 0) return { ...facts, outputs: [] };
  const toFolder = request.toFolder ?? freshFolder(folders, event);
  makeWritableFolder(toFolder, EXEC_FOLDER);
  const outputs: ExecOutput[] = [];
  for (const { stream, file } of report.outputs) {
    const declared = payload.outputs[stream];
    if (declared === undefined) throw new Error(`stream ${stream} was written and not declared`);
    const writtenFormat = outputFormat(streamFormat({ name: stream, format: declared.format }, format));
    const written = readFileSync(join(scratch, 'outputs', file));
    const inRun = writtenInRun({ table, folders, event, range: recorded.range }, stream);
    outputs.push(await putOutput({ stream, format: writtenFormat, file: written }, inRun, toFolder));
  }
  return { ...facts, outputs };
}
