/**
 * The inputs of a run while they are read: what was given is expanded to places, every file is indexed (in threads, or not
 * at all when it has not changed since), what is unusable is refused, and the rest goes on. Runs on the main thread.
 *
 * A file is *awaited* until it is *usable*, *refused*, or *gone* (its servers cannot be reached now). A run need not wait
 * for all: it takes those that are usable, and later more of them.
 */
import { resolve } from 'node:path';
import { placeWithoutSecrets } from '../../core/address-secrets.ts';
import { GranuleError } from '../../core/errors.ts';
import type { FileRecord } from '../../core/file-index.ts';
import { INDEXING_THREADS_MAX } from '../../core/limits.ts';
import { cataloguedFile, readCatalogue } from '../catalogue/catalogued-files.ts';
import { IndexingPool, type RemoteFile } from '../indexing/indexing-pool.ts';
import type { ResolvedRunOptions } from '../options/options.ts';
import { isRemotePlace } from '../remote/place.ts';
import type { SourceOptions } from '../remote/source-options.ts';
import type { NodeEvents } from '../run/run-events.ts';
import type { RunFolders } from '../run/run-folders.ts';
import type { RunSurroundings } from '../run/run-handle.ts';
import { type AnswerParts, answerFor, type InputAnswer, refuseInput } from './input-answer.ts';
import { type InputSet, noUsableInput, type RefusedInput, type UsableInput } from './input-set.ts';
import { DistinctFiles, type ExpandedInputs, expandInputs } from './inputs.ts';

export type InputOptions = Pick<
  ResolvedRunOptions,
  | 'inputs'
  | 'outFolder'
  | 'workerCount'
  | 'catalogPath'
  | 'tree'
  | 'branches'
  | 'indexFolder'
  | 'eventsPerOutput'
  | 'limitEvents'
>;

export interface InputReadingParts {
  readonly folders: RunFolders;
  readonly events: NodeEvents;
  readonly surroundings: Pick<RunSurroundings, 'currentFolder' | 'stdin'>;
  readonly sources: SourceOptions;
  readonly signal: AbortSignal;
  /** what will be read, before anything is */
  readonly onPlaces?: (places: readonly string[]) => void;
}

export class InputReading {
  readonly #files: readonly RemoteFile[];
  readonly #parts: InputReadingParts;
  readonly #isIndexShared: boolean;
  /** a file is taken only after those given before it */
  readonly #inOrder: boolean;
  readonly #pool: IndexingPool;
  readonly #abort = new AbortController();
  /** by place in `#files`; undefined while awaited */
  readonly #answers: (InputAnswer | undefined)[];
  /** places in `#files` of usable ones that were not taken yet; with `#inOrder`, of all from some place on */
  #untaken: number[] = [];
  readonly #taken = new Set<number>();
  readonly #distinct = new DistinctFiles();
  /** what named no file */
  readonly #unfound: readonly RefusedInput[];
  #awaitedCount: number;
  #awaitedLocalCount: number;
  #gone: GranuleError | undefined;
  #failure: { readonly error: unknown } | undefined;
  /** what the payload has against a file */
  #objectionTo: (record: FileRecord) => GranuleError | undefined = () => undefined;
  /** something happened that `more` has not told of */
  #isNews = true;
  #wake: () => void = () => undefined;

  private constructor(
    expanded: ExpandedInputs,
    files: readonly RemoteFile[],
    options: InputOptions,
    parts: InputReadingParts,
  ) {
    const { currentFolder } = parts.surroundings;
    this.#files = files;
    this.#parts = parts;
    this.#unfound = expanded.refused.map((error) =>
      refuseInput(absolutePlace(String(error.details['place'] ?? ''), currentFolder), error, parts.events),
    );
    this.#isIndexShared = options.indexFolder !== null;
    this.#inOrder = options.eventsPerOutput !== null || options.limitEvents !== null;
    this.#answers = files.map(() => undefined);
    if (this.#inOrder) this.#untaken = files.map((_, index) => index);
    this.#awaitedCount = files.length;
    this.#awaitedLocalCount = files.filter(({ places }) => !isRemotePlace(places[0])).length;
    this.#pool = new IndexingPool({
      indexPath: parts.folders.index,
      threadsMax: Math.min(options.workerCount, INDEXING_THREADS_MAX),
      sources: parts.sources,
      tree: options.tree,
      branches: options.branches,
    });
  }

  /** Begins to read all inputs. @throws CONFIG_INVALID and what is wrong with the catalogue */
  static async begin(options: InputOptions, parts: InputReadingParts): Promise<InputReading> {
    const { stdin, currentFolder } = parts.surroundings;
    const { catalogPath } = options;
    const catalogue = catalogPath === null ? undefined : await readCatalogue(catalogPath, currentFolder);
    const named = options.inputs.map((input) => catalogue?.find(input)?.places[0] ?? input);
    const expanded = await expandInputs(named, { stdin, signal: parts.signal, outFolder: options.outFolder });
    const files = expanded.places.map(({ place }): RemoteFile => cataloguedFile(catalogue, place, currentFolder));
    parts.onPlaces?.(files.flatMap(({ places }) => places));
    const reading = new InputReading(expanded, files, options, parts);
    await reading.#begin();
    return reading;
  }

  /** Nothing is awaited any more. */
  get isComplete(): boolean {
    return this.#awaitedCount === 0;
  }

  /** A local file is awaited, which is no reason to begin without it. */
  get awaitsLocal(): boolean {
    return this.#awaitedLocalCount > 0;
  }

  get isClosed(): boolean {
    return this.#abort.signal.aborted;
  }

  get awaitedCount(): number {
    return this.#awaitedCount;
  }

  /** Places, without secrets, of all files that were neither taken nor refused. */
  get late(): readonly string[] {
    return this.#files.flatMap(({ places }, index) => {
      const answer = this.#answers[index];
      return this.#taken.has(index) || (answer !== undefined && 'error' in answer)
        ? []
        : [placeWithoutSecrets(places[0])];
    });
  }

  /** Those refused so far: what named no file, then in the order given. */
  get refused(): readonly RefusedInput[] {
    return [...this.#unfound, ...this.#answers.filter((answer) => answer !== undefined && 'error' in answer)];
  }

  /** Why an input cannot be read now, although it may be there; of the first one. */
  get gone(): GranuleError | undefined {
    return this.#gone;
  }

  /**
   * Refuses files that the payload cannot process: it is loaded while they are read. Before the first `take`.
   *
   * @param objectionTo why a file cannot be used; undefined when it can
   */
  refuseWhere(objectionTo: (record: FileRecord) => GranuleError | undefined): void {
    this.#objectionTo = objectionTo;
  }

  /**
   * Files that have become usable since the last call, in the order given. Where the order of files counts (outputs across
   * files, `-n`), only those with nothing before them that is awaited or gone.
   *
   * @throws INPUT_DUPLICATE
   */
  take(): readonly UsableInput[] {
    const taken: UsableInput[] = [];
    let left = 0;
    for (const index of this.#untaken.sort((one, other) => one - other)) {
      const answer = this.#answers[index];
      if (answer === undefined || 'gone' in answer) break;
      left += 1;
      if ('error' in answer) continue;
      const objection = this.#objectionTo(answer.record);
      if (objection !== undefined) {
        this.#answers[index] = refuseInput(answer.place, objection, this.#parts.events);
        continue;
      }
      this.#distinct.add({ place: answer.place, lfn: answer.record.lfn, guid: answer.record.guid });
      this.#taken.add(index);
      taken.push(answer);
    }
    this.#untaken = this.#untaken.slice(left);
    return taken;
  }

  /**
   * Resolves when something has happened since the last call, at once the first time. For one caller at a time.
   *
   * @throws INPUT_CHANGED, STORE_FAILED, the signal's reason, STOPPED_EARLY after `close`
   */
  async more(): Promise<void> {
    while (!this.#isNews) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#isNews = false;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Gives up what is awaited. Any number of times. */
  async close(): Promise<void> {
    this.#abort.abort(new GranuleError('STOPPED_EARLY', 'the run does not wait for its inputs any longer'));
    await this.#pool.close();
  }

  async #begin(): Promise<void> {
    const { signal } = this.#parts;
    if (signal.aborted) this.#abort.abort(signal.reason);
    signal.addEventListener('abort', () => this.#abort.abort(signal.reason), { once: true });
    await this.#pool.skipUnchanged(this.#files.map(({ places }) => places[0]).filter((place) => !isRemotePlace(place)));
    const parts: AnswerParts = {
      pool: this.#pool,
      events: this.#parts.events,
      signal: this.#abort.signal,
      isIndexShared: this.#isIndexShared,
    };
    for (const [index, file] of this.#files.entries()) {
      answerFor(file, index, parts).then(
        (answer) => this.#settle(index, answer),
        (error: unknown) => {
          this.#failure ??= { error };
          this.#tell();
        },
      );
    }
    if (this.isComplete) void this.#pool.close();
  }

  #settle(index: number, answer: InputAnswer): void {
    this.#answers[index] = answer;
    this.#awaitedCount -= 1;
    if (!isRemotePlace(this.#files[index]?.places[0] ?? '')) this.#awaitedLocalCount -= 1;
    if ('gone' in answer) this.#gone ??= answer.gone;
    else if (!this.#inOrder && 'record' in answer) this.#untaken.push(index);
    if (this.isComplete) void this.#pool.close();
    this.#tell();
  }

  #tell(): void {
    this.#isNews = true;
    this.#wake();
  }
}

/**
 * All inputs, once all are read.
 *
 * @throws INPUT_DUPLICATE, INPUT_CHANGED, SOURCE_UNREACHABLE, STORE_FAILED, the signal's reason; INPUT_NONE_USABLE
 */
export async function readInputs(
  options: InputOptions,
  parts: InputReadingParts,
  objectionTo: (record: FileRecord) => GranuleError | undefined,
): Promise<InputSet> {
  const reading = await InputReading.begin(options, parts);
  reading.refuseWhere(objectionTo);
  try {
    while (!reading.isComplete) await reading.more();
    if (reading.gone !== undefined) throw reading.gone;
    const inputs = reading.take();
    if (inputs.length === 0) throw noUsableInput(reading.refused);
    return { inputs, refused: reading.refused, late: [] };
  } finally {
    await reading.close();
  }
}

/** A file that is missing now may be there next time, when it is known by its absolute path. */
function absolutePlace(named: string, currentFolder: string): string {
  const isList = named === '-' || named.startsWith('@');
  return isList || isRemotePlace(named) ? named : resolve(currentFolder, named);
}
