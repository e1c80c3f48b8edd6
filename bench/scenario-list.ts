/** The scenarios there are: the files of `bench/scenarios/`. Loads none of them before it is asked for. */
import { readdirSync } from 'node:fs';
import { GranuleError } from '../core/errors.ts';
import { suggestNames } from '../core/nearest-name.ts';
import { moduleUrl } from '../core/own-files.ts';
import type { Scenario } from './scenario.ts';

const FOLDER = moduleUrl('bench/scenarios/');
/** `.ts` when run from source, `.js` when built; not `.d.ts` */
const SCENARIO_FILE = /^([a-z][a-z0-9-]*)\.(?:ts|js)$/;

/** Sorted. */
export function scenarioNames(): readonly string[] {
  return readdirSync(FOLDER)
    .flatMap((file) => SCENARIO_FILE.exec(file)?.[1] ?? [])
    .sort();
}

/** @throws USAGE for a name that is none */
export async function loadScenario(name: string): Promise<Scenario> {
  const file = readdirSync(FOLDER).find((entry) => SCENARIO_FILE.exec(entry)?.[1] === name);
  if (file === undefined) {
    const names = scenarioNames();
    throw new GranuleError('USAGE', `there is no benchmark "${name}"`, {
      details: { scenario: name },
      remedy: suggestNames(name, names) ?? `there are ${names.join(', ')}`,
    });
  }
  const module = (await import(new URL(file, FOLDER).href)) as { readonly scenario: Scenario };
  return module.scenario;
}
