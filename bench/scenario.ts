/**
 * What a benchmark scenario is: one file in `bench/scenarios/` that exports one of these as `scenario`; its name is the
 * file's. Everything else (flags, repeats, scratch folders, machine, result file, report, comparison) is the frame's.
 */
import { GranuleError } from '../core/errors.ts';
import { suggestNames } from '../core/nearest-name.ts';
import type { Measure } from './statistics.ts';

/** An option of a scenario, given as `--option name=value`. */
export interface ScenarioOption {
  readonly help: string;
  /** its type is the option's type */
  readonly default: number | string;
  /** in place of the default with `--quick` */
  readonly quick?: number | string;
  /** the values it may have; any when absent */
  readonly choices?: readonly string[];
}

export type ScenarioOptions = Readonly<Record<string, ScenarioOption>>;

export type OptionValues<Options extends ScenarioOptions> = {
  readonly [Name in keyof Options]: Options[Name]['default'] extends number
    ? number
    : Options[Name]['default'] extends string
      ? string
      : number | string;
};

export interface ScenarioContext<Options extends ScenarioOptions = ScenarioOptions> {
  readonly options: OptionValues<Options>;
  /** the same meaning with less statistics: under 30 s on two cores */
  readonly quick: boolean;
  /** how often each variant is to be measured, in turn with the others; see `interleave` */
  readonly repeats: number;
  /** empty folders that are removed afterwards */
  readonly folders: {
    /** on a memory file system; null where there is none */
    readonly memory: string | null;
    readonly disk: string;
  };
  readonly signal: AbortSignal;
  /** Tells the user what is going on, on stderr. */
  progress(text: string): void;
}

export interface ResultTable {
  readonly title: string;
  readonly columns: readonly { readonly title: string; readonly align?: 'right' }[];
  readonly rows: readonly (readonly string[])[];
}

export interface Picture {
  readonly title: string;
  /** a complete `<svg>` element; see `bench/pictures/` */
  readonly svg: string;
}

export interface ScenarioResult {
  /** What `--json` prints beside the frame's own keys, for scripts: documented in docs/benchmarks.md. */
  readonly values: Readonly<Record<string, unknown>>;
  /** What `bench compare` compares. Names stay the same from version to version. */
  readonly measures: readonly Measure[];
  readonly tables: readonly ResultTable[];
  readonly pictures: readonly Picture[];
  /** Sentences on what was measured: warm-up, what is left out, what was absent. */
  readonly notes: readonly string[];
}

export interface Scenario<Options extends ScenarioOptions = ScenarioOptions> {
  readonly summary: string;
  readonly options: Options;
  /** repeats with `--quick`, unless told otherwise: those that fit into 30 s (default: 3) */
  readonly quickRepeats?: number;
  run(context: ScenarioContext<Options>): Promise<ScenarioResult>;
}

/** Gives a scenario its types, and forgets those of its options again, so that scenarios can stand in one list. */
export function defineScenario<const Options extends ScenarioOptions>(scenario: Scenario<Options>): Scenario {
  return scenario as unknown as Scenario;
}

/**
 * Values of a scenario's options.
 *
 * @param given texts by name
 * @throws USAGE for a name that is not an option of it, or a text that is not of the option's type
 */
export function resolveScenarioOptions(
  options: ScenarioOptions,
  given: Readonly<Record<string, string>>,
  quick: boolean,
): OptionValues<ScenarioOptions> {
  const unknown = Object.keys(given).find((name) => options[name] === undefined);
  if (unknown !== undefined) {
    const names = Object.keys(options);
    throw new GranuleError('USAGE', `the scenario has no option "${unknown}"`, {
      details: { option: unknown },
      remedy: suggestNames(unknown, names) ?? (names.length === 0 ? 'it has none' : `it has ${names.join(', ')}`),
    });
  }
  return Object.fromEntries(
    Object.entries(options).map(([name, option]) => {
      const text = given[name];
      const otherwise = quick ? (option.quick ?? option.default) : option.default;
      return [name, text === undefined ? otherwise : parseOption(name, option, text)];
    }),
  );
}

function parseOption(name: string, option: ScenarioOption, text: string): number | string {
  if (option.choices !== undefined && !option.choices.includes(text)) {
    throw new GranuleError('USAGE', `option ${name}: "${text}" is not one of ${option.choices.join(', ')}`);
  }
  if (typeof option.default === 'string') return text;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new GranuleError('USAGE', `option ${name}: "${text}" is not a number of at least 0`);
  }
  return value;
}
