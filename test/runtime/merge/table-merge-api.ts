/** The smallest table that keeps the contract of MergeApi: one task, states in an array, kept in a file through kills. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type {
  MergeApi,
  MergedFile,
  MergeGap,
  MergeItem,
  MergeJob,
  OutputRecord,
  StreamProgress,
} from '../../../core/dispatcher-api.ts';

type State = 'ready' | 'finished' | 'missing' | 'merged' | 'corrupted';

interface Range {
  state: State;
  outputs: readonly OutputRecord[];
}

interface Output {
  /** ranges from the output's first on that were appended or passed over */
  merged: number;
  progress: readonly StreamProgress[];
  gaps: readonly MergeGap[];
  completed?: readonly MergedFile[];
}

interface Table {
  readonly ranges: Range[];
  readonly outputs: Output[];
}

export interface TableOptions {
  readonly rangeCount: number;
  readonly rangesPerOutput: number;
  /** where the table outlives its process */
  readonly path?: string;
}

export class TableMergeApi implements MergeApi {
  readonly #options: TableOptions;
  readonly #table: Table;
  /** items of what is being merged, stretch by stretch */
  readonly #offered = new Map<number, readonly (readonly MergeItem[])[]>();
  /** what failMerge and resetOutput were told */
  readonly complaints: string[] = [];
  /** called before a change is recorded and after it */
  onCommit: (moment: 'before' | 'after') => void = () => undefined;

  constructor(options: TableOptions) {
    this.#options = options;
    this.#table =
      options.path !== undefined && existsSync(options.path)
        ? load(options.path)
        : {
            ranges: Array.from({ length: options.rangeCount }, () => ({ state: 'ready', outputs: [] })),
            outputs: Array.from({ length: Math.ceil(options.rangeCount / options.rangesPerOutput) }, freshOutput),
          };
  }

  get states(): State[] {
    return this.#table.ranges.map(({ state }) => state);
  }

  get outputs(): readonly Output[] {
    return this.#table.outputs;
  }

  recordedFiles(): string[] {
    return this.#table.ranges.flatMap(({ state, outputs }) =>
      state === 'finished' ? outputs.map(({ file }) => file) : [],
    );
  }

  finish(rangeIndex: number, outputs: readonly OutputRecord[]): void {
    this.#table.ranges[rangeIndex] = { state: 'finished', outputs };
    this.#save();
  }

  miss(rangeIndex: number): void {
    this.#table.ranges[rangeIndex] = { state: 'missing', outputs: [] };
    this.#save();
  }

  nextMergeJob(request: Parameters<MergeApi['nextMergeJob']>[0]): MergeJob | undefined {
    if (request.behindOutput !== undefined) return this.#following(request.behindOutput, request);
    for (const [outputIndex, output] of this.#table.outputs.entries()) {
      if (request.busyOutputs.includes(outputIndex)) continue;
      const job = output.completed === undefined ? this.#stretch(outputIndex, request) : this.#amendment(outputIndex);
      if (job === undefined) continue;
      this.#offered.set(outputIndex, [job.items]);
      return job;
    }
    return undefined;
  }

  #following(outputIndex: number, request: Parameters<MergeApi['nextMergeJob']>[0]): MergeJob | undefined {
    const [before, ...behind] = this.#offered.get(outputIndex) ?? [];
    const end = before?.at(-1)?.rangeIndex;
    if (before === undefined || end === undefined || behind.length > 0) return undefined;
    const job = this.#stretch(outputIndex, request, end + 1 - this.#span(outputIndex).firstRange);
    if (job !== undefined) this.#offered.set(outputIndex, [before, job.items]);
    return job;
  }

  #stretch(
    outputIndex: number,
    request: Parameters<MergeApi['nextMergeJob']>[0],
    merged = this.#output(outputIndex).merged,
  ): MergeJob | undefined {
    const { firstRange, rangeCount } = this.#span(outputIndex);
    const { progress } = this.#output(outputIndex);
    const items: MergeItem[] = [];
    for (let index = firstRange + merged; index < firstRange + rangeCount; index += 1) {
      const item = this.#item(index);
      if (item === undefined || items.length === request.rangeCountMax) break;
      items.push(item);
    }
    const last = merged + items.length === rangeCount;
    if (items.length === 0 || (!last && items.length < request.rangeCountMin)) return undefined;
    return { taskID: 1, outputIndex, firstRange, rangeCount, items, progress, last };
  }

  #amendment(outputIndex: number): MergeJob | undefined {
    const { firstRange, rangeCount } = this.#span(outputIndex);
    const { progress, completed, gaps } = this.#output(outputIndex);
    const items: MergeItem[] = [];
    for (let index = firstRange; index < firstRange + rangeCount; index += 1) {
      const item = this.#item(index);
      if (item?.kind === 'finished') items.push(item);
    }
    if (items.length === 0 || completed === undefined) return undefined;
    const amend = { files: completed, gaps };
    return { taskID: 1, outputIndex, firstRange, rangeCount, items, progress, last: true, amend };
  }

  commitMerge(request: Parameters<MergeApi['commitMerge']>[0]): Promise<void> {
    this.onCommit('before');
    const { firstRange } = this.#span(request.outputIndex);
    const output = this.#output(request.outputIndex);
    const amended = output.completed !== undefined;
    const [offered = [], ...behind] = this.#offered.get(request.outputIndex) ?? [];
    this.#offered.set(request.outputIndex, behind);
    for (const { kind, rangeIndex } of offered) {
      if (kind === 'missing' || rangeIndex > request.throughRange) continue;
      this.#table.ranges[rangeIndex] = { state: 'merged', outputs: [] };
    }
    output.merged = request.throughRange - firstRange + 1;
    output.progress = request.progress;
    output.gaps = amended ? request.gaps : [...output.gaps, ...request.gaps];
    if (request.completed !== undefined) output.completed = request.completed;
    this.#save();
    this.onCommit('after');
    return Promise.resolve();
  }

  failMerge(request: Parameters<MergeApi['failMerge']>[0]): Promise<void> {
    for (const { rangeIndex, message } of request.damaged) {
      this.#table.ranges[rangeIndex] = { state: 'corrupted', outputs: [] };
      this.complaints.push(message);
    }
    this.#save();
    return Promise.resolve();
  }

  resetOutput(request: Parameters<MergeApi['resetOutput']>[0]): Promise<void> {
    const { firstRange, rangeCount } = this.#span(request.outputIndex);
    for (let index = firstRange; index < firstRange + rangeCount; index += 1) {
      if (this.#table.ranges[index]?.state === 'merged')
        this.#table.ranges[index] = { state: 'corrupted', outputs: [] };
    }
    this.#table.outputs[request.outputIndex] = freshOutput();
    this.complaints.push(request.message);
    this.#save();
    return Promise.resolve();
  }

  *unfinishedOutputs(): IterableIterator<MergeJob> {
    for (const [outputIndex, output] of this.#table.outputs.entries()) {
      if (output.completed !== undefined) continue;
      const { firstRange, rangeCount } = this.#span(outputIndex);
      const items: MergeItem[] = [];
      for (let index = firstRange; index < firstRange + rangeCount; index += 1) {
        const item = this.#item(index);
        if (item?.kind === 'finished') items.push(item);
      }
      yield { taskID: 1, outputIndex, firstRange, rangeCount, items, progress: output.progress, last: false };
    }
  }

  #item(rangeIndex: number): MergeItem | undefined {
    const range = this.#table.ranges[rangeIndex];
    const fileIndex = Math.floor(rangeIndex / this.#options.rangesPerOutput);
    const startEvent = (rangeIndex % this.#options.rangesPerOutput) + 1;
    const place = { rangeIndex, fileIndex, startEvent, lastEvent: startEvent };
    if (range?.state === 'finished') return { kind: 'finished', ...place, outputs: range.outputs };
    return range?.state === 'missing' ? { kind: 'missing', ...place } : undefined;
  }

  #span(outputIndex: number): { firstRange: number; rangeCount: number } {
    const { rangeCount, rangesPerOutput } = this.#options;
    const firstRange = outputIndex * rangesPerOutput;
    return { firstRange, rangeCount: Math.min(rangesPerOutput, rangeCount - firstRange) };
  }

  #output(outputIndex: number): Output {
    const output = this.#table.outputs[outputIndex];
    if (output === undefined) throw new Error(`no output ${outputIndex}`);
    return output;
  }

  #save(): void {
    const { path } = this.#options;
    if (path === undefined) return;
    const text = JSON.stringify(this.#table, (_, value) =>
      value?.type === 'Buffer' || value instanceof Uint8Array
        ? { base64: Buffer.from(value.data ?? value).toString('base64') }
        : value,
    );
    writeFileSync(`${path}.tmp`, text);
    renameSync(`${path}.tmp`, path);
  }
}

function freshOutput(): Output {
  return { merged: 0, progress: [], gaps: [] };
}

function load(path: string): Table {
  return JSON.parse(readFileSync(path, 'utf8'), (_, value) =>
    typeof value?.base64 === 'string' ? Uint8Array.from(Buffer.from(value.base64, 'base64')) : value,
  );
}
