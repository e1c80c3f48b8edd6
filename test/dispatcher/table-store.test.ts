import { afterEach, describe, expect, it } from 'vitest';
import { LmdbTableStore } from '../../dispatcher/lmdb-table-store.ts';
import { MemoryTableStore } from '../../dispatcher/memory-table-store.ts';
import { FencedOff, type StoreKey, type TableStore } from '../../dispatcher/table-store.ts';
import { makeFolder, removeFolder } from './fixture.ts';

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) removeFolder(folder);
});

const STORES: readonly (readonly [string, () => TableStore])[] = [
  [
    'LMDB',
    () => {
      const folder = makeFolder();
      folders.push(folder);
      return new LmdbTableStore(folder);
    },
  ],
  ['memory', () => new MemoryTableStore()],
];

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : new TextDecoder().decode(value);

describe.each(STORES)('a table store in %s', (_, makeStore) => {
  it('keeps what was committed, in the order of keys', async () => {
    await using store = disposable(makeStore());
    const keys: StoreKey[] = [
      ['b', 1, 10],
      ['a', 2],
      ['b', 1, 9],
      ['b', 10, 0],
      ['b', 2, 0],
      ['b', 1],
    ];
    await store.commit(keys.map((key) => ({ key, value: bytes(JSON.stringify(key)) })));
    const seen = (prefix: (string | number)[], from?: StoreKey) =>
      [...store.entries(prefix, from)].map(({ key, value }) => {
        expect(text(value)).toBe(JSON.stringify(key));
        return key;
      });
    expect(seen(['b'])).toEqual([
      ['b', 1],
      ['b', 1, 9],
      ['b', 1, 10],
      ['b', 2, 0],
      ['b', 10, 0],
    ]);
    expect([...store.keys(['b', 1])]).toEqual(seen(['b', 1]));
    expect(seen(['b', 1], ['b', 1, 10])).toEqual([['b', 1, 10]]);
    expect(seen(['c'])).toEqual([]);
    expect(text(store.get(['a', 2]))).toBe('["a",2]');
    expect(store.get(['a', 3])).toBeUndefined();
  });

  it('lets the last of several writes of one group win', async () => {
    await using store = disposable(makeStore());
    await store.commit([
      { key: ['k'], value: bytes('old') },
      { key: ['k'], value: undefined },
      { key: ['k'], value: bytes('new') },
      { key: ['gone'], value: bytes('x') },
      { key: ['gone'], value: undefined },
      { key: ['never'], value: undefined },
    ]);
    expect(text(store.get(['k']))).toBe('new');
    expect(store.get(['gone'])).toBeUndefined();
  });

  it('gives out bytes that no later write changes', async () => {
    await using store = disposable(makeStore());
    await store.commit([{ key: ['k'], value: bytes('first') }]);
    const first = store.get(['k']);
    await store.commit([{ key: ['k'], value: bytes('other') }]);
    expect(text(first)).toBe('first');
  });

  it('sets a value only if the present one is accepted', async () => {
    await using store = disposable(makeStore());
    const set = (expected: string | undefined, value: string | undefined): boolean =>
      store.compareAndSet(
        ['lock'],
        (present) => text(present) === expected,
        value === undefined ? value : bytes(value),
      );
    expect(set(undefined, 'a')).toBe(true);
    expect(set(undefined, 'b')).toBe(false);
    expect(text(store.get(['lock']))).toBe('a');
    expect(set('a', undefined)).toBe(true);
    expect(store.get(['lock'])).toBeUndefined();
  });

  it('writes nothing behind a fence, which whoever sets a value may put up beside it', async () => {
    await using store = disposable(makeStore());
    const fence: StoreKey = ['fence', 'x'];
    await store.commit([{ key: ['k'], value: bytes('before') }], fence);
    const beside = [{ key: fence, value: bytes('there') }];
    expect(
      store.compareAndSet(
        ['lock'],
        () => false,
        bytes('a'),
        () => beside,
      ),
    ).toBe(false);
    expect(store.get(fence)).toBeUndefined();
    expect(
      store.compareAndSet(
        ['lock'],
        () => true,
        bytes('a'),
        () => beside,
      ),
    ).toBe(true);
    const writes = [
      { key: ['k'], value: undefined },
      { key: ['other'], value: bytes('after') },
    ];
    await expect(store.commit(writes, fence)).rejects.toThrow(FencedOff);
    expect([text(store.get(['k'])), store.get(['other'])]).toEqual(['before', undefined]);
    await store.commit(writes, ['fence', 'y']);
    expect([store.get(['k']), text(store.get(['other']))]).toEqual([undefined, 'after']);
  });

  it('counts the bytes in use', async () => {
    await using store = disposable(makeStore());
    await store.commit([{ key: ['k'], value: new Uint8Array(100_000) }]);
    expect(store.liveBytes()).toBeGreaterThanOrEqual(100_000);
    await store.commit([{ key: ['k'], value: undefined }]);
    expect(store.liveBytes()).toBeLessThan(20_000);
  });
});

function disposable(store: TableStore): TableStore & AsyncDisposable {
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
}
