/** `granule generate`: events of the toy generator as a HepMC3 file. */
import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import { formatBytes, formatCount } from '../../../core/quantities.ts';
import { generateTo, TOY_DEFAULTS, type ToySettings } from '../../../payloads/generator/toy-generator.ts';
import { makeWritableFolder } from '../../writable-folder.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import type { Surroundings } from '../surroundings.ts';

export const generateCommand: CliCommand = { define, run };

function define(command: Command): void {
  command
    .option('-n, --events <N>', 'events to write')
    .option('-o, --out <FILE>', 'file to write; - for stdout')
    .option('--seed <N>', 'seed: the same seed gives the same file', '1')
    .option('--energy <GEV>', 'collision energy', String(TOY_DEFAULTS.energyGeV))
    .option('--multiplicity <N>', 'mean number of primary particles', String(TOY_DEFAULTS.meanPrimaries))
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  granule generate --events 1000 --seed 7 --out events.hepmc3');
}

async function run({ flags }: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const events = numberOf('--events', flags['events'], true);
  const settings: ToySettings = {
    seed: numberOf('--seed', flags['seed'], true),
    energyGeV: numberOf('--energy', flags['energy'], false),
    meanPrimaries: numberOf('--multiplicity', flags['multiplicity'], false),
  };
  if (flags['out'] === undefined) throw new GranuleError('USAGE', '--out is missing (file to write; - for stdout)');
  if (flags['out'] === '-') {
    await generateToStdout({ ...settings, events }, surroundings);
    return EXIT.ok;
  }
  const path = resolve(surroundings.currentFolder, String(flags['out']));
  const written = await generateFile(path, { ...settings, events });
  const summary = { schema: 1, path, events, seed: settings.seed, ...written };
  await surroundings.results.write(
    flags['json'] === true
      ? `${JSON.stringify(summary)}\n`
      : `${String(flags['out'])}: ${formatCount(events)} HepMC3 events, ${formatBytes(written.sizeBytes)}, seed ${settings.seed}\n`,
  );
  return EXIT.ok;
}

/** Ends early, and without complaint, when the reader has gone. */
async function generateToStdout(
  settings: ToySettings & { readonly events: number },
  { results }: Surroundings,
): Promise<void> {
  const readerIsGone = new AbortController();
  const write = async (chunk: Uint8Array): Promise<void> => {
    if (!(await results.write(Buffer.from(chunk).toString('latin1')))) readerIsGone.abort();
  };
  try {
    await generateTo(write, settings, readerIsGone.signal);
  } catch (error) {
    if (!readerIsGone.signal.aborted) throw error;
  }
}

/**
 * Writes beside the path and renames, so that a file of this name is always whole.
 *
 * @throws OUTPUT_UNWRITABLE, CONFIG_INVALID
 */
export async function generateFile(
  path: string,
  settings: ToySettings & { readonly events: number },
): Promise<{ readonly sizeBytes: number; readonly sha256: string }> {
  const temporary = `${path}.${process.pid}.part`;
  const hash = createHash('sha256');
  let file: FileHandle | undefined;
  try {
    makeWritableFolder(dirname(path));
    const opened = await open(temporary, 'w');
    file = opened;
    const sizeBytes = await generateTo(async (chunk) => {
      hash.update(chunk);
      await opened.writeFile(chunk);
    }, settings);
    await opened.close();
    await rename(temporary, path);
    return { sizeBytes, sha256: hash.digest('hex') };
  } catch (error) {
    await file?.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
    if (error instanceof GranuleError) throw error;
    throw new GranuleError('OUTPUT_UNWRITABLE', `${path}: cannot be written: ${(error as Error).message}`, {
      details: { path },
      cause: error,
      remedy: 'choose another --out, or check permissions and free space',
    });
  }
}

function numberOf(flag: string, given: unknown, whole: boolean): number {
  if (given === undefined) throw new GranuleError('USAGE', `${flag} is missing`);
  const text = String(given);
  const value = (whole ? /^\d+$/ : /^\d+(\.\d+)?$/).test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value) || value > Number.MAX_SAFE_INTEGER) {
    throw new GranuleError('USAGE', `${flag}: "${text}" is not a ${whole ? 'whole ' : ''}number from 0 on`);
  }
  return value;
}
