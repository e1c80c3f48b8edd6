/** Horizontal bars: the median of each, with a whisker from the lowest to the highest repeat. */
import { summarise } from '../statistics.ts';
import { axisTicks, COLOURS, element, line, svg, text } from './svg.ts';

export interface Bar {
  readonly label: string;
  /** repeats; an empty list is drawn as absent */
  readonly values: readonly number[];
}

export interface BarChart {
  readonly title: string;
  readonly bars: readonly Bar[];
  readonly format: (value: number) => string;
  /** drawn as a line through all bars: a bound, or a number to reach */
  readonly reference?: { readonly label: string; readonly value: number };
}

const WIDTH = 760;
const LABEL_WIDTH = 190;
const VALUE_WIDTH = 110;
const ROW = 26;
const TOP = 34;

export function barChart({ title, bars, format, reference }: BarChart): string {
  const highest = Math.max(reference?.value ?? 0, ...bars.flatMap(({ values }) => values)) || 1;
  const plotWidth = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const x = (value: number): number => LABEL_WIDTH + (value / highest) * plotWidth;
  const bottom = TOP + bars.length * ROW;
  const parts = [text(0, 14, title, { 'font-weight': 600 })];
  for (const tick of axisTicks(highest, 5)) {
    parts.push(line(x(tick), TOP - 4, x(tick), bottom));
    parts.push(text(x(tick), bottom + 14, format(tick), { 'text-anchor': 'middle' }));
  }
  bars.forEach(({ label, values }, row) => {
    const top = TOP + row * ROW;
    parts.push(text(LABEL_WIDTH - 8, top + 15, label, { 'text-anchor': 'end' }));
    if (values.length === 0) {
      parts.push(text(LABEL_WIDTH + 4, top + 15, 'absent', { 'font-style': 'italic' }));
      return;
    }
    const { median, min, max } = summarise(values);
    parts.push(element('rect', { x: x(0), y: top + 3, width: x(median) - x(0), height: 16, fill: COLOURS.bar }));
    parts.push(line(x(min), top + 11, x(max), top + 11, { stroke: COLOURS.ink }));
    for (const end of [min, max]) parts.push(line(x(end), top + 7, x(end), top + 15, { stroke: COLOURS.ink }));
    parts.push(text(x(max) + 6, top + 15, format(median)));
  });
  if (reference !== undefined) {
    const at = x(reference.value);
    parts.push(line(at, TOP - 4, at, bottom, { stroke: COLOURS.mark, 'stroke-dasharray': '4 3' }));
    parts.push(text(at, TOP - 8, reference.label, { 'text-anchor': 'middle', fill: COLOURS.mark }));
  }
  return svg(WIDTH, bottom + 24, title, parts);
}
