/** Plain tables for stdout: columns as wide as their widest cell, numbers to the right, two spaces between. */
import { printableLine } from '../../core/printable.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'right';
}

/** Lines ending in a newline; trailing spaces cut off. Nothing for a table without rows. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const all = [columns.map((column) => column.title), ...rows.map((row) => row.map(printableLine))];
  // Not `Math.max(...)`: rows may be more than a call has arguments.
  const widths = columns.map((_, index) =>
    all.reduce((most, row) => Math.max(most, displayWidth(row[index] ?? '')), 0),
  );
  const lines = all.map((row) =>
    columns
      .map((column, index) => {
        const cell = row[index] ?? '';
        const padding = ' '.repeat((widths[index] ?? 0) - displayWidth(cell));
        return column.align === 'right' ? padding + cell : cell + padding;
      })
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

/** Code points; wide enough for names and numbers, which is what our tables hold. */
function displayWidth(text: string): number {
  return [...text].length;
}
