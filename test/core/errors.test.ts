import { describe, expect, it } from 'vitest';
import { describeThrown, GranuleError, isGranuleError, serialiseError } from '../../core/errors.ts';
import { THROWN_VALUE_CHARS_MAX } from '../../core/limits.ts';

describe('whatever is thrown', () => {
  const throwing = {
    get message(): string {
      throw new Error('no');
    },
  };

  it.each([
    ['a text', 'text', 'text'],
    ['null', null, 'null'],
    ['a symbol', Symbol('why'), 'Symbol(why)'],
    ['an object with a message', { message: 'm' }, 'm'],
    ['an error without a message', new TypeError(''), 'TypeError'],
    ['an error whose message is no text', Object.assign(new Error('x'), { message: 7 }), '7'],
    [
      'an object without a message',
      { weird: true, deep: [1, { code: 7 }] },
      '{ weird: true, deep: [ 1, { code: 7 } ] }',
    ],
    ['an object without prototype', Object.create(null), '[Object: null prototype] {}'],
    ['an object that throws itself', throwing, 'something was thrown that has no text'],
  ])('has a message: %s', (_, thrown, message) => expect(describeThrown(thrown).message).toBe(message));

  it('is described on one bounded line, however large it is', () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`key${index}`, 'line\nend']));
    for (const thrown of [many, { cause: new Error('two\nlines') }, [new Uint8Array(1e6), 'x'.repeat(1e6)]]) {
      const { message } = describeThrown(thrown);
      expect(message).not.toContain('\n');
      expect(message.length).toBeLessThanOrEqual(THROWN_VALUE_CHARS_MAX);
    }
  });

  it('crosses a thread as INTERNAL unless it has a code of ours', () => {
    expect(serialiseError(new GranuleError('USAGE', 'm'))).toMatchObject({ code: 'USAGE', message: 'm' });
    expect(serialiseError(Object.assign(new Error('m'), { code: 'toString' }))).toMatchObject({ code: 'INTERNAL' });
    expect(isGranuleError(Object.assign(new Error('m'), { code: 'ENOENT' }))).toBe(false);
  });
});
