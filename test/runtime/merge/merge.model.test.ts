/** Whatever happens to ranges and files on the way, merged files are those of one undisturbed pass. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MergeFolders, MergeMode } from '../../../runtime/merge/merge-messages.ts';
import type { MergeService } from '../../../runtime/merge/merge-service.ts';
import { expectedFile, outputPath, RANGES_PER_OUTPUT, STREAMS, writeOutputs } from './event-outputs.ts';
import { startInPlace } from './merge-in-place.ts';
import { TableMergeApi } from './table-merge-api.ts';
import { createMergeFolders, removeMergeFolders } from './unmerged-files.ts';

const OUTPUT_COUNT = 2;
const RANGE_COUNT = OUTPUT_COUNT * RANGES_PER_OUTPUT - 3;

type Step =
  | { readonly kind: 'finish' | 'miss' | 'damage'; readonly range: number }
  | { readonly kind: 'flush' | 'restart' | 'snapshot' | 'lose' | 'cut' };

const range = fc.nat({ max: RANGE_COUNT - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant<'finish'>('finish'), range }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant<'miss'>('miss'), range }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant<'damage'>('damage'), range }) },
  { weight: 4, arbitrary: fc.constant<Step>({ kind: 'flush' }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Step>({ kind: 'restart' }, { kind: 'snapshot' }, { kind: 'lose' }, { kind: 'cut' }),
  },
);

/** A run of the task, with the attempts that its ranges have had. */
class Scene {
  readonly folders: MergeFolders = createMergeFolders();
  readonly table = new TableMergeApi({ rangeCount: RANGE_COUNT, rangesPerOutput: RANGES_PER_OUTPUT });
  readonly failures: unknown[] = [];
  readonly #mode: MergeMode;
  #service: MergeService;
  #attempts = 0;

  constructor(mode: MergeMode) {
    this.#mode = mode;
    this.#service = this.#start();
  }

  #start(): MergeService {
    const onFailure = (error: unknown): unknown => this.failures.push(error);
    return startInPlace({ api: this.table, folders: this.folders, mode: this.#mode, onFailure });
  }

  async play(step: Step): Promise<void> {
    switch (step.kind) {
      case 'finish':
        if (!['ready', 'corrupted', 'missing'].includes(this.table.states[step.range] ?? '')) return;
        this.finish(step.range);
        return;
      case 'miss':
        if (this.table.states[step.range] === 'ready') this.table.miss(step.range);
        return;
      case 'damage': {
        const { aggregation } = this.folders;
        const [file] = this.table.recordedFiles();
        if (file !== undefined && existsSync(join(aggregation, file))) truncateSync(join(aggregation, file), 1);
        return;
      }
      case 'flush':
        return this.#service.flush();
      case 'restart':
        await this.#service.close();
        this.#service = this.#start();
        return;
      case 'snapshot':
        await this.#service.writePartialOutputs();
        return;
      default: {
        const [name] = readdirSync(this.folders.growing).filter((file) => file.endsWith('.part'));
        if (name === undefined) return;
        if (step.kind === 'lose') rmSync(join(this.folders.growing, name));
        else truncateSync(join(this.folders.growing, name), 1);
      }
    }
  }

  finish(rangeIndex: number): void {
    this.#attempts += 1;
    this.table.finish(rangeIndex, writeOutputs(this.folders, rangeIndex, this.#attempts));
  }

  /** Makes every range that is not done, until nothing is left to do. */
  async complete(): Promise<void> {
    for (;;) {
      await this.#service.flush();
      const open = this.table.states.flatMap((state, index) =>
        state === 'ready' || state === 'corrupted' ? [index] : [],
      );
      if (open.length === 0) break;
      for (const rangeIndex of open) this.finish(rangeIndex);
    }
    await this.#service.close();
  }

  check(): void {
    expect(this.failures).toEqual([]);
    for (let outputIndex = 0; outputIndex < OUTPUT_COUNT; outputIndex += 1) {
      const first = outputIndex * RANGES_PER_OUTPUT;
      const merged = this.table.states.flatMap((state, index) => (state === 'merged' ? [index] : []));
      const inOutput = merged.filter((index) => index >= first && index < first + RANGES_PER_OUTPUT);
      for (const [streamIndex, stream] of STREAMS.entries()) {
        const path = outputPath(outputIndex, stream);
        const expected = expectedFile(streamIndex, inOutput);
        const found = readFileSync(join(this.folders.out, path));
        expect(found.toString('latin1')).toBe(expected.bytes.toString('latin1'));
        expect(this.table.outputs[outputIndex]?.completed?.[streamIndex]).toEqual({
          stream: stream.name,
          path,
          sizeBytes: expected.bytes.length,
          sha256: createHash('sha256').update(expected.bytes).digest('hex'),
          recordCount: expected.recordCount,
        });
      }
    }
    expect(readdirSync(this.folders.growing)).toEqual([]);
    expect(readdirSync(this.folders.aggregation)).toEqual([]);
  }

  remove(): void {
    removeMergeFolders(this.folders);
  }
}

async function playAll(mode: MergeMode, steps: readonly Step[]): Promise<void> {
  const scene = new Scene(mode);
  try {
    for (const each of steps) await scene.play(each);
    await scene.complete();
    scene.check();
  } finally {
    scene.remove();
  }
}

describe('merged files', () => {
  it.each<MergeMode>(['fast', 'slow'])('are those of one undisturbed pass (%s merge)', async (mode) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), (steps) => playAll(mode, steps)),
      { numRuns: mode === 'fast' ? 60 : 20 },
    );
  });

  it('take in ranges made after all, wherever they were missing, in any order', async () => {
    const all = Array.from({ length: RANGE_COUNT }, (_, index) => index);
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(all), fc.nat(), fc.nat(), async (missing, some, more) => {
        const made = missing.slice(0, some % (missing.length + 1));
        const atOnce = made.slice(0, more % (made.length + 1));
        await playAll('fast', [
          ...missing.map((range): Step => ({ kind: 'miss', range })),
          ...all.map((range): Step => ({ kind: missing.includes(range) ? 'flush' : 'finish', range })),
          { kind: 'flush' },
          ...atOnce.map((range): Step => ({ kind: 'finish', range })),
          ...made.slice(atOnce.length).flatMap((range): Step[] => [{ kind: 'finish', range }, { kind: 'flush' }]),
        ]);
      }),
      { numRuns: 25 },
    );
  });
});
