import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { PeerChannel, ServerChannel } from '../../../runtime/channel/channel.ts';

interface Numbered {
  readonly kind: 'number';
  readonly value: number;
  readonly none?: undefined;
}

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function ipcAddress(): string {
  const folder = mkdtempSync(join(tmpdir(), 'granule-channel-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return `ipc://${join(folder, 'socket')}`;
}

let unique = 0;
const transports: Readonly<Record<string, () => string>> = {
  inproc: () => `inproc://test-${process.pid}-${unique++}`,
  ipc: ipcAddress,
};

describe.each(Object.keys(transports))('a channel over %s', (transport) => {
  const address = (): string => transports[transport]?.() ?? '';

  it('carries messages and data frames between two parties, in order', async () => {
    const where = address();
    const left = await PeerChannel.bindPair<Numbered, Numbered>(where);
    const right = PeerChannel.connectPair<Numbered, Numbered>(where);
    cleanups.push(
      () => left.close(),
      () => right.close(),
    );
    // Many sends without waiting: the channel serialises them.
    const sends = Array.from({ length: 100 }, (_, value) =>
      left.send({ kind: 'number', value }, [new Uint8Array([value]), new Uint8Array(value * 1000)]),
    );
    for (let value = 0; value < 100; value += 1) {
      const received = await right.receive();
      expect(received?.message).toEqual({ kind: 'number', value });
      expect(received?.frames.map((frame) => frame.length)).toEqual([1, value * 1000]);
      expect(received?.frames[0]?.[0]).toBe(value);
    }
    await Promise.all(sends);
  });

  it('carries whatever a thread sends that may die at any moment', async () => {
    const where = address();
    const server = await ServerChannel.bind<{ readonly kind: 'bytes'; readonly bytes: Uint8Array }, Numbered>(where);
    const client = PeerChannel.connectClient<Numbered, { readonly kind: 'bytes'; readonly bytes: Uint8Array }>(
      where,
      'mortal',
      { moreThan: () => Promise.resolve() },
    );
    cleanups.push(
      () => server.close(),
      () => client.close(),
    );
    for (const length of [0, 1, 127, 128, 129, 5000, 300_000]) {
      const bytes = Uint8Array.from({ length }, (_, index) => (index * 7) % 256);
      await client.send({ kind: 'bytes', bytes });
      const received = await server.receive();
      expect(Buffer.compare(received?.message.bytes ?? new Uint8Array(0), bytes)).toBe(0);
    }
  });

  it('routes answers to the client that asked', async () => {
    const where = address();
    const server = await ServerChannel.bind<Numbered, Numbered>(where);
    const clients = ['a', 'b', 'c'].map((name) => PeerChannel.connectClient<Numbered, Numbered>(where, name));
    cleanups.push(() => server.close(), ...clients.map((client) => () => client.close()));
    for (const [value, client] of clients.entries()) await client.send({ kind: 'number', value });
    for (let count = 0; count < clients.length; count += 1) {
      const received = await server.receive();
      if (received === undefined) throw new Error('the channel closed');
      await server.send(received.peer, { kind: 'number', value: received.message.value * 10 });
    }
    for (const [value, client] of clients.entries()) {
      expect((await client.receive())?.message.value).toBe(value * 10);
    }
  });

  it('drops a message to a peer that is gone, and goes on', async () => {
    const where = address();
    const server = await ServerChannel.bind<Numbered, Numbered>(where);
    const client = PeerChannel.connectClient<Numbered, Numbered>(where, 'here');
    cleanups.push(
      () => server.close(),
      () => client.close(),
    );
    await server.send('nobody', { kind: 'number', value: 1 });
    await client.send({ kind: 'number', value: 2 });
    await server.receive();
    await server.send('here', { kind: 'number', value: 3 });
    expect((await client.receive())?.message.value).toBe(3);
  });

  it('gives undefined to a receive that was pending when it closed', async () => {
    const left = await PeerChannel.bindPair<Numbered, Numbered>(address());
    const pending = left.receive();
    await left.close();
    expect(await pending).toBeUndefined();
    expect(await left.receive()).toBeUndefined();
    await left.close();
  });
});
