/** A small SVG writer: enough for charts, no library, self-contained output. */

export type Attributes = Readonly<Record<string, string | number>>;

/** Colours that read on a light and on a dark page, and when printed in grey. */
export const COLOURS = {
  ink: '#5b6472',
  grid: '#c9ced6',
  bar: '#3b7dd8',
  barAlternate: '#7fb0f0',
  idle: '#f3b7a6',
  mark: '#d2452d',
  rest: '#a9b4c2',
} as const;

const FONT = 'font-family:system-ui,sans-serif;font-size:12px';

export function element(name: string, attributes: Attributes, content = ''): string {
  const text = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${typeof value === 'number' ? shortNumber(value) : escapeText(value)}"`)
    .join('');
  return content === '' ? `<${name}${text}/>` : `<${name}${text}>${content}</${name}>`;
}

export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return element('text', { x, y, fill: COLOURS.ink, ...attributes }, escapeText(content));
}

export function line(x1: number, y1: number, x2: number, y2: number, attributes: Attributes = {}): string {
  return element('line', { x1, y1, x2, y2, stroke: COLOURS.grid, ...attributes });
}

/** The whole picture; `label` is what a screen reader says. */
export function svg(width: number, height: number, label: string, content: readonly string[]): string {
  return element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${width} ${Math.ceil(height)}`,
      width,
      height: Math.ceil(height),
      role: 'img',
      'aria-label': label,
      style: FONT,
    },
    content.join('\n'),
  );
}

/** At most two decimals: pictures are not measured with a ruler. */
export function shortNumber(value: number): string {
  return String(Math.round(value * 100) / 100);
}

export function escapeText(content: string): string {
  return content.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Round steps (1, 2 or 5 times a power of ten) from 0 up to `max`, about `count` of them. */
export function axisTicks(max: number, count: number): number[] {
  if (!(max > 0)) return [0];
  const rough = max / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.floor(max / step + 1e-9) + 1 }, (_, index) => index * step);
}
