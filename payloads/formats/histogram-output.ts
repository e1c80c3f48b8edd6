/**
 * Writes histograms (`histogram.ts`): an unmerged file holds fills, one a line; joining them adds them up, and the
 * merged file holds one line for each histogram.
 */
import { GranuleError } from '../../core/errors.ts';
import { HISTOGRAMS_MAX } from '../../core/limits.ts';
import type { OutputFormat, OutputJoiner, SplitOutput } from './event-format.ts';
import { damaged, refusedRecord } from './format-errors.ts';
import { findFillFault, type Histogram, type HistogramFill, HistogramSet, parseHistogramLine } from './histogram.ts';
import { asBuffer, NEWLINE } from './line-blocks.ts';

const NOTHING = new Uint8Array(0);

export const histogramOutput: OutputFormat = {
  name: 'histogram',
  fileExtension: '.hist.ndjson',
  carriesInfo: false,
  begin: () => NOTHING,
  encode(value) {
    const fault = findFillFault(value);
    if (fault === undefined) return Buffer.from(`${JSON.stringify(value)}\n`, 'utf8');
    throw refusedRecord(
      `this is no fill of a histogram: ${fault}`,
      "write { name: 'mass', bins: 60, low: 60, high: 120, x, weight }",
    );
  },
  end: () => NOTHING,
  split(file) {
    const body = asBuffer(file);
    if (body.length > 0 && body[body.length - 1] !== NEWLINE) throw damaged('the last line has no end');
    let recordCount = 0;
    for (let at = body.indexOf(NEWLINE); at >= 0; at = body.indexOf(NEWLINE, at + 1)) recordCount += 1;
    return { header: body.subarray(0, 0), body, recordCount };
  },
  rewrite(body) {
    parseLines(body);
    return body;
  },
  createJoiner: (state) => new HistogramJoiner(state),
};

function parseLines(body: Uint8Array): (HistogramFill | Histogram)[] {
  const lines = asBuffer(body).toString('utf8').split('\n');
  lines.pop();
  return lines.map((line, index) => {
    const parsed = parseHistogramLine(line);
    if (parsed === undefined) throw damaged(`line ${index + 1} is no fill and no histogram`);
    return parsed;
  });
}

/** Appends nothing until the end: the sums so far are its state. */
class HistogramJoiner implements OutputJoiner {
  readonly #set = new HistogramSet();

  constructor(state: Uint8Array | undefined) {
    if (state !== undefined) this.#add(state);
  }

  append(part: SplitOutput): readonly Uint8Array[] {
    this.#add(part.body);
    return [];
  }

  finish(): Uint8Array {
    return this.state();
  }

  state(): Uint8Array {
    const lines = this.#set.histograms().map((histogram) => `${JSON.stringify(histogram)}\n`);
    return Buffer.from(lines.join(''), 'utf8');
  }

  #add(body: Uint8Array): void {
    for (const line of parseLines(body)) {
      if (this.#set.add(line)) continue;
      throw new GranuleError('OUTPUT_UNMERGEABLE', `a stream holds at most ${HISTOGRAMS_MAX} histograms`, {
        details: { histogram: line.name },
        remedy: 'give histograms names and binnings that do not depend on the event',
      });
    }
  }
}
