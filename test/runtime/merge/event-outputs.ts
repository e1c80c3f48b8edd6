/** What a payload with three streams would write for each range, and what the merged files must then be. */
import type { OutputRecord, TaskFile } from '../../../core/dispatcher-api.ts';
import { parseGuid } from '../../../core/ids.ts';
import type { OutputFormat, OutputFormatName } from '../../../payloads/formats/event-format.ts';
import { outputFormat } from '../../../payloads/formats/registry.ts';
import type { MergeFolders } from '../../../runtime/merge/merge-messages.ts';
import type { MergeStream } from '../../../runtime/merge/output-names.ts';
import { writeUnmerged } from './unmerged-files.ts';

/** `LISTING` changes its run header now and then, so that headers come and go in the merged file. */
export const STREAMS: readonly (MergeStream & { readonly written: OutputFormatName })[] = [
  { name: 'LINES', format: 'ndjson', written: 'ndjson' },
  { name: 'BOX', format: 'gev', written: 'gev' },
  { name: 'LISTING', format: 'as-input', written: 'hepmc3' },
];

export const RANGES_PER_OUTPUT = 12;

export function inputFile(fileIndex: number): TaskFile {
  const guid = parseGuid('00000000-0000-8000-8000-000000000000');
  return { fileIndex, guid, lfn: `in${fileIndex}`, format: 'hepmc3', eventCount: RANGES_PER_OUTPUT };
}

export function outputPath(outputIndex: number, stream: MergeStream & { readonly written: OutputFormatName }): string {
  return `in${outputIndex}.${stream.name}${outputFormat(stream.written).fileExtension}`;
}

/** Every fifth range leaves a stream out; some write several records. */
function recordCountOf(rangeIndex: number, streamIndex: number): number {
  return (rangeIndex + streamIndex) % 5 === 0 ? 0 : 1 + ((rangeIndex * 7 + streamIndex) % 3);
}

function unmergedFile(format: OutputFormat, rangeIndex: number, streamIndex: number): Buffer | undefined {
  const recordCount = recordCountOf(rangeIndex, streamIndex);
  if (recordCount === 0) return undefined;
  const weights = Math.floor(rangeIndex / 4) % 2 === 0 ? 'nominal' : 'up';
  const runHeader = Buffer.from(`HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\nW 1\nN ${weights}\n`);
  const pieces = [format.begin({ stream: STREAMS[streamIndex]?.name ?? '', runHeader, inputFormat: 'hepmc3' })];
  for (let index = 0; index < recordCount; index += 1) {
    const listed = Buffer.from(`E ${rangeIndex} 0 0\nU GEV MM\n`);
    const value = format.name === 'hepmc3' ? listed : { rangeIndex, index, text: 'x'.repeat(rangeIndex % 17) };
    pieces.push(format.encode(value, { position: rangeIndex + 1, eventNumber: rangeIndex, runNumber: rangeIndex % 3 }));
  }
  const runNumbers = [rangeIndex % 3];
  const info = { eventCount: 1, runNumbers, eventTypes: ['test'], processingTags: ['t1'], intervalsOfValidity: [] };
  pieces.push(format.end(info));
  return Buffer.concat(pieces);
}

export function writeOutputs(folders: MergeFolders, rangeIndex: number, attemptNr: number): OutputRecord[] {
  const outputs: OutputRecord[] = [];
  for (const [streamIndex, stream] of STREAMS.entries()) {
    const bytes = unmergedFile(outputFormat(stream.written), rangeIndex, streamIndex);
    if (bytes === undefined) continue;
    const recordCount = recordCountOf(rangeIndex, streamIndex);
    outputs.push(writeUnmerged(folders, { rangeIndex, attemptNr }, stream.name, { bytes, recordCount }));
  }
  return outputs;
}

/** The merged file of a stream, made in one go from these ranges. */
export function expectedFile(streamIndex: number, ranges: readonly number[]): { bytes: Buffer; recordCount: number } {
  const stream = STREAMS[streamIndex];
  if (stream === undefined) throw new Error(`no stream ${streamIndex}`);
  const format = outputFormat(stream.written);
  const joiner = format.createJoiner(undefined, stream.name);
  let bytes = Buffer.alloc(0);
  let recordCount = 0;
  for (const rangeIndex of ranges) {
    const file = unmergedFile(format, rangeIndex, streamIndex);
    if (file === undefined) continue;
    bytes = Buffer.concat([bytes, ...joiner.append(format.split(file), bytes.length)]);
    recordCount += recordCountOf(rangeIndex, streamIndex);
  }
  return { bytes: Buffer.concat([bytes, joiner.finish(bytes.length)]), recordCount };
}
