/** Draws a histogram as an SVG document: bins as a filled outline, statistical errors, axes, and a box of numbers. */
import type { Histogram } from './formats/histogram.ts';

const WIDTH = 720;
const HEIGHT = 480;
const PLOT = { left: 72, right: 24, top: 48, bottom: 64 };
const PLOT_WIDTH = WIDTH - PLOT.left - PLOT.right;
const PLOT_HEIGHT = HEIGHT - PLOT.top - PLOT.bottom;
const TICKS_WANTED = 6;
/** The step is rounded up, so there are no more than were wanted, and one at each end. */
const TICKS_MAX = TICKS_WANTED + 2;
/** Room above the highest bin. */
const HEADROOM = 1.12;

/** @returns a complete SVG file, the same text for the same histogram */
export function drawHistogram(histogram: Histogram): string {
  const { bins, low, high, contents, squares } = histogram;
  const errors = squares.map(Math.sqrt);
  const tops = contents.map((content, bin) => content + (errors[bin] ?? 0));
  const floor = Math.min(0, ...contents.map((content, bin) => content - (errors[bin] ?? 0)));
  const ceiling = Math.max(...tops) > 0 ? Math.max(...tops) * HEADROOM : 1;
  const xOf = (x: number): number => round(PLOT.left + ((x - low) / (high - low)) * PLOT_WIDTH);
  const yOf = (y: number): number => round(PLOT.top + (1 - (y - floor) / (ceiling - floor)) * PLOT_HEIGHT);
  const edge = (bin: number): number => xOf(low + ((high - low) * bin) / bins);

  const outline = contents.map((content, bin) => `V${yOf(content)}H${edge(bin + 1)}`).join('');
  const bars = contents.map((content, bin) => {
    const error = errors[bin] ?? 0;
    if (error === 0) return '';
    const middle = round((edge(bin) + edge(bin + 1)) / 2);
    return `M${middle} ${yOf(content - error)}V${yOf(content + error)}`;
  });
  const baseline = yOf(0);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<path d="M${edge(0)} ${baseline}${outline}V${baseline}Z" fill="#c6dbef" stroke="#08519c"/>`,
    `<path d="${bars.join('')}" stroke="#08519c" fill="none"/>`,
    axes(histogram, { floor, ceiling, xOf, yOf }),
    label(WIDTH / 2, 28, histogram.title || histogram.name, 'middle', 'font-size="16"'),
    label(WIDTH - PLOT.right, HEIGHT - 16, histogram.xLabel, 'end'),
    ...numbersBox(histogram).map((line, index) =>
      label(WIDTH - PLOT.right - 8, PLOT.top + 18 + 16 * index, line, 'end'),
    ),
    '</svg>\n',
  ].join('\n');
}

interface Scale {
  readonly floor: number;
  readonly ceiling: number;
  xOf(x: number): number;
  yOf(y: number): number;
}

function axes({ low, high }: Histogram, { floor, ceiling, xOf, yOf }: Scale): string {
  const [bottom, right] = [PLOT.top + PLOT_HEIGHT, PLOT.left + PLOT_WIDTH];
  const parts = [`<path d="M${PLOT.left} ${PLOT.top}V${bottom}H${right}" fill="none" stroke="black"/>`];
  for (const x of ticks(low, high)) {
    parts.push(`<path d="M${xOf(x)} ${bottom}v6" stroke="black"/>`, label(xOf(x), bottom + 22, String(x), 'middle'));
  }
  for (const y of ticks(floor, ceiling)) {
    parts.push(
      `<path d="M${PLOT.left} ${yOf(y)}h-6" stroke="black"/>`,
      label(PLOT.left - 10, yOf(y) + 4, String(y), 'end'),
    );
  }
  return parts.join('\n');
}

/** Multiples of 1, 2 or 5 times a power of ten between `low` and `high`: about {@link TICKS_WANTED} of them. */
function ticks(low: number, high: number): number[] {
  const rough = (high - low) / TICKS_WANTED;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const found: number[] = [];
  const first = Math.ceil(low / step);
  // Counted, since far from zero a number plus one may be that number.
  for (let count = 0; count <= TICKS_MAX && (first + count) * step <= high; count += 1) {
    // Free of the digits that multiplying leaves behind: 0.30000000000000004.
    found.push(Number(((first + count) * step).toPrecision(12)));
  }
  return found;
}

function numbersBox({ entries, underflow, overflow, sums: [weight, weightX, weightXX] }: Histogram): string[] {
  const mean = weightX / weight;
  const deviation = Math.sqrt(Math.max(0, weightXX / weight - mean * mean));
  const short = (value: number): string => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : '–');
  return [
    `entries ${entries}`,
    `mean ${short(mean)}`,
    `std dev ${short(deviation)}`,
    `below ${short(underflow)}, above ${short(overflow)}`,
  ];
}

function label(x: number, y: number, text: string, anchor: 'middle' | 'end', more = ''): string {
  const escaped = text.replace(/[&<>]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[char] ?? char);
  return `<text x="${x}" y="${y}" text-anchor="${anchor}"${more === '' ? '' : ` ${more}`}>${escaped}</text>`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
