import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ROOT_SIGN_MS, ROOT_SILENCE_MS } from '../../../core/limits.ts';
import type { ByteRange, ByteSource } from '../../../runtime/remote/byte-source.ts';
import { SourceProxy } from '../../../runtime/root/source-proxy.ts';

/** Answers when it is told to. */
class WaitingSource implements Pick<ByteSource, 'readMany'> {
  settle: (results: Uint8Array[] | Error) => void = () => undefined;
  asked: readonly ByteRange[] = [];

  readMany(ranges: readonly ByteRange[]): Promise<Uint8Array[]> {
    this.asked = ranges;
    return new Promise((resolve, reject) => {
      this.settle = (results) => (results instanceof Error ? reject(results) : resolve(results));
    });
  }
}

describe('SourceProxy', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('gives signs of life for as long as a read takes, and none after', async () => {
    const source = new WaitingSource();
    let signs = 0;
    const onRead = (): void => {
      signs += 1;
    };
    const proxy = new SourceProxy(source as unknown as ByteSource, 100, onRead, new AbortController().signal);
    const reading = proxy.methods().readBuffers([90, 20]);
    vi.advanceTimersByTime(3 * ROOT_SILENCE_MS);
    expect(signs).toBeGreaterThan(3 * (ROOT_SILENCE_MS / ROOT_SIGN_MS) - 1);
    source.settle([Uint8Array.of(1, 2)]);
    const [view] = await reading;
    expect([view?.byteLength, source.asked]).toEqual([2, [{ offsetBytes: 90, lengthBytes: 10 }]]);
    const counted = signs;
    vi.advanceTimersByTime(ROOT_SILENCE_MS);
    expect(signs).toBe(counted);

    const failing = proxy.methods().readBuffers([0, 1]);
    source.settle(new Error('gone'));
    await expect(failing).rejects.toThrow('gone');
    expect(proxy.takeError()).toMatchObject({ message: 'gone' });
    expect(vi.getTimerCount()).toBe(0);
  });
});
