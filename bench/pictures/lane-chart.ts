/**
 * Core lanes on one time axis: one panel per variant, one lane per worker, what it executed in two shades in turn (so
 * that borders between units show) on a ground that means idle.
 */
import { axisTicks, COLOURS, element, line, shortNumber, svg, text } from './svg.ts';

export interface LanePanel {
  readonly title: string;
  readonly workerCount: number;
  /** in ms from the moment all workers were ready */
  readonly intervals: readonly { readonly worker: number; readonly start: number; readonly end: number }[];
  readonly makespanMs: number;
}

export interface LaneChart {
  readonly title: string;
  readonly panels: readonly LanePanel[];
  /** no schedule is shorter: a line through all panels */
  readonly boundMs: number;
}

const WIDTH = 960;
const LEFT = 8;
const RIGHT = 24;
const PANEL_HEIGHT_MAX = 160;
const LANE_HEIGHT_MAX = 18;

export function laneChart({ title, panels, boundMs }: LaneChart): string {
  const longest = Math.max(boundMs, ...panels.map(({ makespanMs }) => makespanMs));
  const x = (timeMs: number): number => LEFT + (timeMs / longest) * (WIDTH - LEFT - RIGHT);
  const parts = [text(LEFT, 14, title, { 'font-weight': 600 })];
  let top = 30;
  for (const panel of panels) {
    parts.push(text(LEFT, top + 12, panel.title));
    parts.push(...drawPanel(panel, top + 18, x));
    top += 18 + panelHeight(panel) + 12;
  }
  for (const tick of axisTicks(longest, 8)) {
    parts.push(line(x(tick), top, x(tick), top + 5));
    parts.push(text(x(tick), top + 18, `${shortNumber(tick / 1000)} s`, { 'text-anchor': 'middle' }));
  }
  parts.push(line(x(boundMs), 30, x(boundMs), top, { stroke: COLOURS.mark, 'stroke-dasharray': '5 4' }));
  parts.push(...legend(top + 38));
  return svg(WIDTH, top + 48, title, parts);
}

function laneHeight({ workerCount }: LanePanel): number {
  return Math.min(LANE_HEIGHT_MAX, PANEL_HEIGHT_MAX / workerCount);
}

function panelHeight(panel: LanePanel): number {
  return laneHeight(panel) * panel.workerCount;
}

/** A lane's units are one stroked path per shade: a picture of ten thousand events stays small. */
function drawPanel(panel: LanePanel, top: number, x: (timeMs: number) => number): string[] {
  const height = laneHeight(panel);
  const thickness = height > 4 ? height - 1.5 : height * 0.9;
  const width = x(panel.makespanMs) - x(0);
  const parts = [element('rect', { x: x(0), y: top, width, height: panelHeight(panel), fill: COLOURS.idle })];
  const shades = [COLOURS.bar, COLOURS.barAlternate];
  const paths = ['', ''];
  const countOfWorker = new Map<number, number>();
  for (const { worker, start, end } of [...panel.intervals].sort((left, right) => left.start - right.start)) {
    const count = countOfWorker.get(worker) ?? 0;
    countOfWorker.set(worker, count + 1);
    const y = shortNumber(top + (worker + 0.5) * height);
    const from = Math.round(x(start) * 10) / 10;
    paths[count % 2] += `M${from} ${y}h${shortNumber(Math.max(0.1, x(end) - from))}`;
  }
  paths.forEach((d, shade) => {
    if (d !== '') parts.push(element('path', { d, stroke: shades[shade] ?? '', 'stroke-width': thickness }));
  });
  return parts;
}

function legend(y: number): string[] {
  const entries: readonly (readonly [string, string])[] = [
    [COLOURS.bar, 'executing (shades alternate from unit to unit)'],
    [COLOURS.idle, 'idle'],
  ];
  let x = LEFT;
  const parts: string[] = [];
  for (const [fill, label] of entries) {
    parts.push(element('rect', { x, y: y - 10, width: 12, height: 12, fill }));
    parts.push(text(x + 17, y, label));
    x += 40 + label.length * 6.6;
  }
  parts.push(line(x, y - 4, x + 16, y - 4, { stroke: COLOURS.mark, 'stroke-dasharray': '5 4' }));
  parts.push(text(x + 22, y, 'no schedule is shorter'));
  return parts;
}
