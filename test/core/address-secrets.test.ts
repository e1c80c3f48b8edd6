/** What is left of addresses that hold passwords, tokens and signatures. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeWithoutSecrets, valuesWithoutSecrets, withoutSecrets } from '../../core/address-secrets.ts';
import { GranuleError } from '../../core/errors.ts';

describe('a place without secrets', () => {
  it.each([
    ['https://user:pa@ss@h:8443/a', 'https://h:8443/a'],
    [
      'granule+http://token@h/5a1c0c2e-90c8-d743-8b5d-0b0c9b2a9c11',
      'granule+http://h/5a1c0c2e-90c8-d743-8b5d-0b0c9b2a9c11',
    ],
    ['root://h//a/b.root?authz=Bearer%20x&svcClass=default', 'root://h//a/b.root?svcClass=default'],
    ['https://h/a?id=17&access_token=x', 'https://h/a?id=17'],
    ['https://h/a?%74oken=x', 'https://h/a'],
    ['https://h/a?X-Amz-Date=1&X-Amz-Expires=60&X-Amz-Signature=x', 'https://h/a'],
    ['https://h/a?sv=2021&sp=r&se=2026-01-01T00%3A00%3A00Z&sig=x', 'https://h/a?sv=2021&sp=r'],
    ['https://h/a?Policy=x&Key-Pair-Id=y&Expires=1&Signature=z', 'https://h/a'],
    ['https://h/a#access_token=x', 'https://h/a'],
    ['https://h/a?b=1#part', 'https://h/a?b=1#part'],
    ['https://h/a@b/c', 'https://h/a@b/c'],
    ['/data/user:x@y/a?token=1', '/data/user:x@y/a?token=1'],
  ])('of %s is %s', (place, shown) => {
    expect(placeWithoutSecrets(place)).toBe(shown);
  });

  it('keeps places apart that differ in a long value, which it does not show', () => {
    const [one, other] = ['a', 'b'].map((last) =>
      placeWithoutSecrets(`https://h/get?file=/data/run-0001/events-${last}`),
    );
    expect([one, other]).toEqual([expect.stringMatching(/^https:\/\/h\/get\?file=…[0-9a-f]{8}$/), expect.anything()]);
    expect(one).not.toBe(other);
  });

  it('is the same once more, and in running text', () => {
    const part = fc.string({ unit: fc.constantFrom(...'ab/?#&=@:%.…token') });
    fc.assert(
      fc.property(part, (rest) => {
        const shown = placeWithoutSecrets(`https://h/${rest}`);
        expect(placeWithoutSecrets(shown)).toBe(shown);
        const line = withoutSecrets(`"https://h/${rest}": refused`);
        expect(withoutSecrets(line)).toBe(line);
      }),
    );
  });
});

it('text, values and errors name addresses without secrets', () => {
  const text = 'https://u:secret@h/a?token=secret: it is gone (see http://h/b?sig=secret).';
  expect(withoutSecrets(text)).toBe('https://h/a: it is gone (see http://h/b).');
  expect(valuesWithoutSecrets({ a: ['x://u:secret@h'], b: 1, c: null })).toEqual({ a: ['x://h'], b: 1, c: null });
  const error = new GranuleError('SOURCE_REFUSED', text, { details: { place: 'http://u:secret@h/' }, remedy: text });
  const said = [error.message, String(error.details['place']), error.remedy, error.stack?.split('\n')[0]];
  expect(said.map((text) => text?.includes('secret'))).toEqual([false, false, false, false]);
});

it('looks through long text in no time', () => {
  const text = `${'a'.repeat(300_000)}://${'@'.repeat(300_000)}?${'&a=b'.repeat(100_000)}`;
  expect(withoutSecrets(text).length).toBeLessThan(text.length);
});
