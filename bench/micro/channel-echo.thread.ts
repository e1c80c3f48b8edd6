/** The other end of the channel benchmark: sends back what it is sent, in a thread of its own. */
import { workerData } from 'node:worker_threads';
import { PeerChannel } from '../../runtime/channel/channel.ts';

const channel = PeerChannel.connectPair<unknown, unknown>(workerData as string);
for (;;) {
  const received = await channel.receive();
  if (received === undefined || received.message === 'end') break;
  await channel.send(received.message, received.frames);
}
await channel.close();
