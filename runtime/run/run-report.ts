/**
 * What is told about a run when a start of it ends: the manifest, kept in OUT, and the summary. Read from the event table
 * after the dispatcher has closed it, so both say what is durable.
 */
import { placeWithoutSecrets, valuesWithoutSecrets, withoutSecrets } from '../../core/address-secrets.ts';
import { countSelected } from '../../core/event-selection.ts';
import { GRANULE_VERSION } from '../../core/version.ts';
import type { OutputReport, TableReader } from '../../dispatcher/table-reader.ts';
import type { RefusedInput } from '../inputs/input-set.ts';
import { streamFormat } from '../merge/output-names.ts';
import type { PartialOutput } from '../merge/stretch-runner.ts';
import type { ResolvedRunOptions } from '../options/options.ts';
import type { LoadedPayload } from '../payload-loading/describe-payload.ts';
import { countEvents } from './event-counts.ts';
import {
  buildManifest,
  EventListBuilder,
  type ManifestOutput,
  type ManifestPayload,
  writeManifest,
} from './manifest.ts';
import { failedEvents, groupFailures, madeBy, withMissing } from './reported-events.ts';
import type { RunMeter } from './run-meter.ts';
import { exitCodeOf, type RunEnding, type RunSummary } from './run-summary.ts';
import type { RunTask } from './run-task.ts';

export interface ReportFacts {
  readonly options: ResolvedRunOptions;
  readonly task: RunTask;
  readonly payload: LoadedPayload;
  readonly refused: readonly RefusedInput[];
  readonly partial: readonly PartialOutput[];
  readonly command: readonly string[];
  readonly meter: RunMeter;
  /** speculative copies started */
  readonly copyCount: number;
  /** events found finished when this start began */
  readonly recoveredEvents: number;
  readonly ending: RunEnding;
  readonly reason: string | undefined;
  readonly wallMs: number;
  /** while workers ran */
  readonly processingMs: number;
}

/** Writes the manifest and returns the summary. @throws OUTPUT_FAILED */
export function reportRun(reader: TableReader, facts: ReportFacts): RunSummary {
  const outputs = outputsOf(reader, facts);
  writeRunManifest(reader, facts, outputs);
  return summarise(reader, facts, outputs);
}

function writeRunManifest(reader: TableReader, facts: ReportFacts, outputs: readonly ManifestOutput[]): void {
  const { options, payload, task } = facts;
  const status = statusOf(reader, task.taskID);
  writeManifest(
    options.outFolder,
    buildManifest({
      granuleVersion: GRANULE_VERSION,
      command: facts.command.map(withoutSecrets),
      payloads: payloadsOf(reader, facts),
      options: { payload: valuesWithoutSecrets(payload.options), ...shownOptions(options) },
      seed: options.seed,
      mergeMode: options.mergeMode,
      eventsPerRange: options.eventsPerRange,
      ...(options.eventsPerOutput === null ? {} : { eventsPerOutput: options.eventsPerOutput }),
      inputs: task.inputs.map(({ place, record }, fileIndex) => {
        const selection = task.files[fileIndex]?.selection;
        return {
          guid: record.guid,
          lfn: record.lfn,
          place: placeWithoutSecrets(place),
          format: record.format,
          eventCount: record.eventCount,
          ...(selection === undefined ? {} : { selectedEventCount: countSelected(selection) }),
          sizeBytes: record.sizeBytes,
          sha256: record.sha256,
        };
      }),
      refusedInputs: refusedOf(facts),
      outputs,
      events: countEvents(status.events),
      failedEvents: failedEvents(reader, task),
    }),
  );
}

function summarise(reader: TableReader, facts: ReportFacts, outputs: readonly ManifestOutput[]): RunSummary {
  const { options, meter, task, processingMs } = facts;
  const { total, finished, failed } = countEvents(statusOf(reader, task.taskID).events);
  const refusedInputs = refusedOf(facts);
  const capacityMs = processingMs * options.workerCount;
  return {
    schema: 1,
    ending: facts.ending,
    exitCode: exitCodeOf(facts.ending, failed, refusedInputs.length),
    ...(facts.reason === undefined ? {} : { reason: facts.reason }),
    payload: facts.payload.name,
    seed: options.seed,
    outFolder: options.outFolder,
    events: {
      total,
      finished,
      failed,
      retried: meter.retriedEvents,
      recovered: facts.recoveredEvents,
      left: total - finished - failed,
    },
    outputs: outputs.map(({ stream, path, eventCount, sizeBytes, sha256 }) => ({
      stream,
      path,
      events: eventCount,
      sizeBytes,
      sha256,
    })),
    failures: groupFailures(reader, task),
    refusedInputs,
    speculation: { copies: facts.copyCount, discarded: meter.refusedResults },
    workers: options.workerCount,
    wallMs: facts.wallMs,
    executeMs: meter.executeMs,
    busyFraction: capacityMs > 0 ? Math.min(1, meter.executeCpuMs / capacityMs) : 0,
  };
}

function statusOf(reader: TableReader, taskID: number) {
  const status = reader.tasks().find(({ record }) => record.taskID === taskID);
  if (status === undefined) throw new Error(`task ${taskID} is gone from the table`);
  return status;
}

function outputsOf(reader: TableReader, facts: ReportFacts): ManifestOutput[] {
  const { task } = facts;
  const partial = new Map(facts.partial.map((file) => [file.path, file]));
  const outputs: ManifestOutput[] = [];
  for (const { output, missing } of withMissing(reader, task, reader.outputs(task.taskID))) {
    const files = output.files ?? facts.partial.filter(({ outputIndex }) => outputIndex === output.outputIndex);
    if (files.length === 0) continue;
    for (const file of files) {
      outputs.push({
        stream: file.stream,
        path: file.path,
        format: formatOf(task, file.stream, output),
        eventCount: file.recordCount,
        sizeBytes: file.sizeBytes,
        sha256: file.sha256,
        ...(output.files === undefined && partial.has(file.path) ? { partial: true as const } : {}),
        missing,
      });
    }
  }
  return outputs;
}

function formatOf(task: RunTask, streamName: string, output: OutputReport): string {
  const stream = task.streams.find(({ name }) => name === streamName);
  const file = task.naming.kind === 'input-file' ? task.files[output.outputIndex] : task.files[0];
  return stream === undefined || file === undefined ? 'bytes' : streamFormat(stream, file.format);
}

/** Which events were made by which code: the payloads before the one in force, then that one. */
function payloadsOf(reader: TableReader, facts: ReportFacts): ManifestPayload[] {
  const { payload, task } = facts;
  const epochs = reader.payloadEpochs(task.taskID);
  const { record } = statusOf(reader, task.taskID);
  const identities = [...epochs.map((epoch) => epoch.payload), record.payloads.at(-1) ?? payload.identity];
  const version = payload.version === undefined ? {} : { version: payload.version };
  const made = madeBy(
    reader,
    task,
    epochs.map((epoch) => epoch.ranges),
  );
  return identities.map((identity, index) => ({
    name: payload.name,
    ...version,
    identity,
    made: made[index] ?? new EventListBuilder().build(),
  }));
}

function refusedOf(facts: ReportFacts): RunSummary['refusedInputs'] {
  return facts.refused.map(({ place, error }) => ({
    place: placeWithoutSecrets(place),
    code: error.code,
    message: error.message,
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
  }));
}

/** Options of the run that shape its outputs, beside those kept elsewhere in the manifest. */
function shownOptions(options: ResolvedRunOptions): Record<string, unknown> {
  const { events, sequence, failuresMax, lossesMax, outputBytesMax, order } = options;
  return { events, sequence, failuresMax, lossesMax, outputBytesMax, order };
}
