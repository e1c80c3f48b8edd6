/** A channel between two threads: round trips with one token and with 32, as the scatterer sends them. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { RangeToken, ToWorker } from '../../core/messages.ts';
import { builtModuleUrl } from '../../core/own-files.ts';
import { PeerChannel } from '../../runtime/channel/channel.ts';
import { LocalAddresses } from '../../runtime/channel/local-addresses.ts';
import type { MicroSuite, MicroTask } from './micro-suite.ts';

function tokensOf(count: number): ToWorker {
  const tokens = Array.from(
    { length: count },
    (_, index): RangeToken => ({
      rangeIndex: index,
      attemptNr: 1,
      fileIndex: 0,
      startEvent: index + 1,
      lastEvent: index + 1,
      failures: 0,
      offsetBytes: index * 2000,
      lengthBytes: 2000,
      cuts: null,
      frame: -1,
      failedEvents: null,
      suspect: false,
    }),
  );
  return { kind: 'tokens', files: [], tokens, batch: 1, copy: false };
}

export const suite: MicroSuite = {
  name: 'channel',
  async open() {
    const addresses = await LocalAddresses.create();
    const address = addresses.address('echo');
    const channel = await PeerChannel.bindPair<ToWorker, ToWorker | 'end'>(address);
    const thread = new Worker(builtModuleUrl('bench/micro/channel-echo.thread.ts'), { workerData: address });
    const roundTrip = (tokenCount: number): MicroTask => {
      const message = tokensOf(tokenCount);
      return {
        name: `round trip of ${tokenCount === 1 ? 'one token' : `${tokenCount} tokens`}`,
        count: tokenCount,
        run: async () => {
          await channel.send(message);
          await channel.receive();
        },
      };
    };
    return {
      tasks: [roundTrip(1), roundTrip(32)],
      async close() {
        const exit = once(thread, 'exit');
        await channel.send('end');
        await exit;
        await channel.close();
        await addresses[Symbol.asyncDispose]();
      },
    };
  },
};
