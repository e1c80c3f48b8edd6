/**
 * For reports of analyses: reads merged histograms and draws them. The package's door `granule/histogram`.
 *
 * ```ts
 * report({ outputs, folder }) {
 *   for (const histogram of readHistograms(outputs.HISTOGRAMS)) {
 *     writeFileSync(join(folder, `${histogram.name}.svg`), drawHistogram(histogram));
 *   }
 * }
 * ```
 */
import { readFileSync } from 'node:fs';
import { GranuleError } from '../core/errors.ts';
import { type Histogram, HistogramSet, parseHistogramLine } from './formats/histogram.ts';

export type { Binning, Histogram, HistogramFill } from './formats/histogram.ts';
export { drawHistogram } from './histogram-drawing.ts';

/**
 * The sums of the histograms in merged files of format `histogram`, by name.
 *
 * @param paths undefined (a stream that nothing was written to) is no file
 * @throws OUTPUT_DAMAGED naming file and line
 */
export function readHistograms(paths: readonly string[] | undefined): readonly Histogram[] {
  const set = new HistogramSet();
  for (const path of paths ?? []) {
    for (const [index, line] of readFileSync(path, 'utf8').split('\n').entries()) {
      if (line === '') continue;
      const parsed = parseHistogramLine(line);
      if (parsed !== undefined && set.add(parsed)) continue;
      const what = parsed === undefined ? 'is no histogram' : 'is one histogram too many';
      throw new GranuleError('OUTPUT_DAMAGED', `${path}:${index + 1} ${what}`, {
        details: { path },
        remedy: 'remove the file and run the same command again: its output is made anew',
      });
    }
  }
  return set.histograms();
}
