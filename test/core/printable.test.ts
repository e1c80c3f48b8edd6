import { describe, expect, it } from 'vitest';
import { printableLine, printableText } from '../../core/printable.ts';

describe('text from elsewhere', () => {
  it('shows control characters in place of sending them', () => {
    expect(printableLine('a\u001b[31mred\u009b\r\nñ 漢\t\u0000')).toBe('a\\x1b[31mred\\x9b\\r\\nñ 漢\\t\\x00');
  });

  it('shows what would turn the direction of a line, or end it', () => {
    expect(printableLine('events\u202enosjdn.exe\u2028\u2066')).toBe('events\\u202enosjdn.exe\\u2028\\u2066');
  });

  it('keeps line ends and tabs where there may be several lines', () => {
    expect(printableText('a\n\tb\u0007')).toBe('a\n\tb\\x07');
  });
});
