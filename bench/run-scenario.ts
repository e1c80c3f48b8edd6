/** Runs one scenario: scratch folders, repeats, and what disturbed it while it ran. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isMemoryFileSystem } from './machine.ts';
import { NoiseWatch, noiseWarnings } from './noise.ts';
import type { ScenarioRecord } from './result-file.ts';
import { resolveScenarioOptions, type ScenarioContext } from './scenario.ts';
import { loadScenario } from './scenario-list.ts';

export interface BenchSettings {
  readonly quick: boolean;
  /** null: `REPEATS`, and with `quick` what the scenario says or `REPEATS_QUICK` */
  readonly repeats: number | null;
  /** texts of `--option name=value` */
  readonly options: Readonly<Record<string, string>>;
  readonly folders: ScenarioContext['folders'];
  readonly signal: AbortSignal;
  readonly progress: (text: string) => void;
}

const REPEATS = 5;
const REPEATS_QUICK = 3;

/** Where memory file systems are mounted. */
const MEMORY_FOLDERS = ['/dev/shm', '/tmp'];

/** Scratch folders for scenarios; disposing of them removes what is in them. */
export class ScratchFolders implements Disposable {
  readonly memory: string | null;
  readonly disk: string;

  /** @param diskFolder where to work on disk: the file system that is to be measured */
  constructor(diskFolder: string) {
    const memoryFolder = MEMORY_FOLDERS.find(isMemoryFileSystem);
    this.memory = memoryFolder === undefined ? null : mkdtempSync(join(memoryFolder, 'granule-bench-'));
    this.disk = mkdtempSync(join(diskFolder, 'granule-bench-'));
  }

  [Symbol.dispose](): void {
    for (const folder of [this.memory, this.disk]) {
      if (folder !== null) rmSync(folder, { recursive: true, force: true });
    }
  }
}

export async function runScenario(name: string, settings: BenchSettings): Promise<ScenarioRecord> {
  const { quick, folders, signal, progress } = settings;
  const scenario = await loadScenario(name);
  const options = resolveScenarioOptions(scenario.options, settings.options, quick);
  const repeats = settings.repeats ?? (quick ? (scenario.quickRepeats ?? REPEATS_QUICK) : REPEATS);
  const watch = new NoiseWatch();
  const startedMs = performance.now();
  const result = await scenario.run({ options, quick, repeats, folders, signal, progress });
  const disturbance = watch.disturbance();
  return {
    scenario: name,
    quick,
    repeats,
    options,
    command: commandLine(name, settings),
    wallMs: performance.now() - startedMs,
    disturbance,
    warnings: noiseWarnings(disturbance, result.measures),
    ...result,
  };
}

function commandLine(name: string, { quick, repeats, options }: BenchSettings): string {
  return [
    `granule bench ${name}`,
    ...(quick ? ['--quick'] : []),
    ...(repeats === null ? [] : [`--repeats ${repeats}`]),
    ...Object.entries(options).map(([option, value]) => `--option ${option}=${value}`),
  ].join(' ');
}
