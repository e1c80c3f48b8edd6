/** The formats there are. Reading: {@link recogniseFormat}, {@link inputFormat}; writing: {@link outputFormat}. */
import { assert } from '../../core/assert.ts';
import type { FormatName } from '../../core/file-index.ts';
import { bytesOutput } from './bytes-output.ts';
import type { InputFormat, OutputFormat, OutputFormatName } from './event-format.ts';
import { gevInput } from './gev.ts';
import { gevOutput } from './gev-output.ts';
import { hepmc2Input } from './hepmc2.ts';
import { hepmc3Input } from './hepmc3.ts';
import { histogramOutput } from './histogram-output.ts';
import { lheInput } from './lhe.ts';
import { hepmc2Output, hepmc3Output, lheOutput } from './listing-output.ts';
import { ndjsonInput } from './ndjson.ts';
import { ndjsonOutput } from './ndjson-output.ts';
import { rootInput } from './root-event.ts';

/** In the order in which they are tried: the loosest last. */
const INPUT_FORMATS: readonly InputFormat[] = [gevInput, rootInput, hepmc3Input, hepmc2Input, lheInput, ndjsonInput];

/** For messages: what {@link recogniseFormat} knows. */
export const INPUT_FORMAT_TITLES =
  'HepMC3 Asciiv3, HepMC2 IO_GenEvent, LHE, NDJSON and gev, each also gzipped; trees of ROOT files';

/** The reader of a format. */
export function inputFormat(name: FormatName): InputFormat {
  const format = INPUT_FORMATS.find((candidate) => candidate.name === name);
  assert(format !== undefined, `there is a reader of ${name}`);
  return format;
}

/** @param head the first bytes of the inflated file, up to `RECOGNISE_BYTES_MAX`: all of them if it is shorter */
export function recogniseFormat(head: Uint8Array): InputFormat | undefined {
  return INPUT_FORMATS.find((format) => format.recognise(head));
}

const OUTPUT_FORMATS: Readonly<Record<OutputFormatName, OutputFormat>> = {
  ndjson: ndjsonOutput,
  gev: gevOutput,
  hepmc3: hepmc3Output,
  hepmc2: hepmc2Output,
  lhe: lheOutput,
  histogram: histogramOutput,
  bytes: bytesOutput,
};

/** The writer of a format. */
export function outputFormat(name: OutputFormatName): OutputFormat {
  return OUTPUT_FORMATS[name];
}
