/**
 * Channels: the only door to ZeroMQ. Messages are typed as tagged unions in `core/messages.ts` and packed by
 * `message-codec.ts`; large bytes ride beside them as frames of their own, uncopied by the encoder.
 *
 * On the wire a message is `[version] [msgpack body] [data frame]*`; a server's socket puts the peer's
 * identity before it. A body with another version is refused.
 *
 * Rules that keep a process alive (each was seen to abort one when broken):
 * - a thread that may die at any moment has no call of a socket pending: it calls `receive()` for a message that is there
 *   (see {@link Arrivals}), and sends what is taken at once;
 * - what such a thread sends is text, of which ZeroMQ makes a copy: bytes it would send from the thread's memory, some time
 *   later, and whoever dies meanwhile has sent something else;
 * - a thread that sends bytes ends after its peer has received the last of them: until then ZeroMQ sends from its memory,
 *   and afterwards reports that to the thread (see `token-extractor.thread.ts`);
 * - a thread is not ended while it loads ZeroMQ or is in one of its calls (see `execution-board.ts`);
 * - a socket has one send at a time: {@link SendQueue} serialises them;
 * - a thread that dies by an uncaught exception closes its channels first;
 * - channels between threads that come and go use `ipc`, not `inproc`: over inproc a message *is* the sender's memory,
 *   which its receiver gives back at some later garbage collection, through a sender that may be gone by then.
 */
import type * as zeromq from 'zeromq';
import { assert } from '../../core/assert.ts';
import { CHANNEL_HIGH_WATER_MARK } from '../../core/limits.ts';
import { requirePackage } from '../../core/own-files.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';

const { Dealer, Pair, Router } = requirePackage('zeromq') as typeof zeromq;

/** Tells of messages without ZeroMQ. */
export interface Arrivals {
  /**
   * Resolves when more than `count` messages have been sent to this end since it exists, in a later turn of the event
   * loop. Until then the thread may be ended; then it never resolves.
   */
  moreThan(count: number): Promise<void>;
}

/** Changes whenever a message of `core/messages.ts` changes its meaning or its bytes. */
export const CHANNEL_VERSION = 3;

const VERSION_FRAME = Uint8Array.of(CHANNEL_VERSION);
/** Before a body that is text: base64, the quickest to make and to read. */
const VERSION_FRAME_OF_TEXT = Uint8Array.of(CHANNEL_VERSION, 1);

export interface Received<In> {
  readonly message: In;
  /** views that stay valid as long as they are referenced */
  readonly frames: readonly Uint8Array[];
}

export interface ReceivedFrom<In> extends Received<In> {
  readonly peer: string;
}

const SOCKET_OPTIONS = {
  linger: 0,
  sendHighWaterMark: CHANNEL_HIGH_WATER_MARK,
  receiveHighWaterMark: CHANNEL_HIGH_WATER_MARK,
} as const;

function decode<In>(frames: readonly Buffer[]): Received<In> {
  const [version, body, ...data] = frames;
  assert(version !== undefined && body !== undefined, 'a message has a version and a body');
  assert(version[0] === CHANNEL_VERSION, `channel version is ${CHANNEL_VERSION}, found ${version[0]}`);
  const bytes = version.length === VERSION_FRAME_OF_TEXT.length ? Buffer.from(body.toString('latin1'), 'base64') : body;
  return { message: decodeMessage(bytes) as In, frames: data };
}

/**
 * Sends one message at a time, in order: a ZeroMQ socket answers a second concurrent send with EBUSY. A message that
 * finds nothing under way leaves at once, before its sender goes on.
 */
class SendQueue {
  readonly #send: (frames: (Uint8Array | string)[]) => Promise<void>;
  #tail: Promise<void> | undefined;

  constructor(send: (frames: (Uint8Array | string)[]) => Promise<void>) {
    this.#send = send;
  }

  push(frames: (Uint8Array | string)[]): Promise<void> {
    const sent = this.#tail === undefined ? this.#send(frames) : this.#tail.then(() => this.#send(frames));
    const tail = sent
      .catch(() => undefined)
      .then(() => {
        if (this.#tail === tail) this.#tail = undefined;
      });
    this.#tail = tail;
    return sent;
  }

  /** Resolves when everything pushed so far is with ZeroMQ. */
  async drained(): Promise<void> {
    await this.#tail;
  }
}

function isClosedError(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'EAGAIN' || error.code === 'EBADF' || error.code === 'ENOTSOCK')
  );
}

/** One end of a channel between two parties, or a client of a {@link ServerChannel}. */
export class PeerChannel<In, Out> {
  readonly #socket: zeromq.Pair | zeromq.Dealer;
  readonly #queue: SendQueue;
  readonly #arrivals: Arrivals | undefined;
  #receivedCount = 0;
  #closed = false;

  private constructor(socket: zeromq.Pair | zeromq.Dealer, arrivals?: Arrivals) {
    this.#socket = socket;
    this.#arrivals = arrivals;
    this.#queue = new SendQueue((frames) => socket.send(frames));
  }

  /** The end that exists first of a channel between two parties. */
  static async bindPair<In, Out>(address: string): Promise<PeerChannel<In, Out>> {
    const socket = new Pair(SOCKET_OPTIONS);
    await socket.bind(address);
    return new PeerChannel(socket);
  }

  static connectPair<In, Out>(address: string): PeerChannel<In, Out> {
    const socket = new Pair(SOCKET_OPTIONS);
    socket.connect(address);
    return new PeerChannel(socket);
  }

  /**
   * @param identity how the server addresses this client; unique among its clients
   * @param arrivals for a thread that may die at any moment: no call of its socket is ever pending
   */
  static connectClient<In, Out>(address: string, identity: string, arrivals?: Arrivals): PeerChannel<In, Out> {
    const atOnce = arrivals === undefined ? {} : { sendTimeout: 0, receiveTimeout: 0 };
    const socket = new Dealer({ ...SOCKET_OPTIONS, ...atOnce, routingId: identity });
    socket.connect(address);
    return new PeerChannel(socket, arrivals);
  }

  /** Resolves when ZeroMQ has taken the message. The bytes of `frames` belong to the channel from then on. */
  send(message: Out, frames: readonly Uint8Array[] = []): Promise<void> {
    const body = encodeMessage(message);
    if (this.#arrivals === undefined) return this.#queue.push([VERSION_FRAME, body, ...frames]);
    assert(frames.length === 0, 'a thread that may die sends no frames');
    return this.#queue.push([
      VERSION_FRAME_OF_TEXT,
      Buffer.from(body.buffer, body.byteOffset, body.length).toString('base64'),
    ]);
  }

  /** The next message; undefined once the channel is closed. One call at a time. */
  async receive(): Promise<Received<In> | undefined> {
    if (this.#arrivals !== undefined) await this.#arrived(this.#arrivals);
    if (this.#closed) return undefined;
    try {
      return decode<In>(await this.#socket.receive());
    } catch (error) {
      if (this.#closed && isClosedError(error)) return undefined;
      throw error;
    }
  }

  /** Resolves when the next message is at this end, or the channel is closed. */
  async #arrived(arrivals: Arrivals): Promise<void> {
    // What was sent is some ten microseconds away.
    do await arrivals.moreThan(this.#receivedCount);
    while (!this.#closed && !this.#socket.readable);
    this.#receivedCount += 1;
  }

  /** Hands over what was sent, then closes. A pending `receive` gives undefined. Twice is harmless. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue.drained();
    this.#socket.close();
  }

  /** Closes at once, for a thread that is about to end. */
  destroy(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}

/** The serving end of a channel with many clients. */
export class ServerChannel<In, Out> {
  readonly #socket: zeromq.Router;
  readonly #queue: SendQueue;
  #closed = false;

  private constructor(socket: zeromq.Router) {
    this.#socket = socket;
    this.#queue = new SendQueue((frames) => socket.send(frames));
  }

  static async bind<In, Out>(address: string): Promise<ServerChannel<In, Out>> {
    // Not mandatory: with it, a send to a client that is gone waits for ever, and every later send behind it.
    const socket = new Router({ ...SOCKET_OPTIONS, mandatory: false, handover: true });
    await socket.bind(address);
    return new ServerChannel(socket);
  }

  /** A message to a peer that is gone is dropped: whoever supervises the peer learns of its end otherwise. */
  send(peer: string, message: Out, frames: readonly Uint8Array[] = []): Promise<void> {
    return this.#queue.push([peer, VERSION_FRAME, encodeMessage(message), ...frames]);
  }

  async receive(): Promise<ReceivedFrom<In> | undefined> {
    if (this.#closed) return undefined;
    try {
      const [peer, ...frames] = await this.#socket.receive();
      assert(peer !== undefined, 'a routed message begins with its peer');
      return { peer: peer.toString(), ...decode<In>(frames) };
    } catch (error) {
      if (this.#closed && isClosedError(error)) return undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue.drained();
    this.#socket.close();
  }
}
