/**
 * Keeps undici alive when a server closes a connection whose body nobody reads at that moment: its parser, paused by
 * back-pressure, fails an assertion in the socket's `end` handler, where nobody can catch it (nodejs/undici issue 5360;
 * the releases for Node 20 have it). The guard holds the `end` back until the parser goes on.
 */
import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';

/** How often a held-back end looks whether the body is read again. */
const RECHECK_MS = 10;

/** undici's parser of a connection, found by its symbol's name: it is exported nowhere. */
function isPaused(socket: Socket): boolean {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'parser');
  const parser: unknown = symbol === undefined ? undefined : Reflect.get(socket, symbol);
  return typeof parser === 'object' && parser !== null && 'paused' in parser && parser.paused === true;
}

function holdEndWhilePaused(socket: Socket): void {
  // Or Node would close the socket right after the end, and what is still to be parsed would be lost.
  socket.allowHalfOpen = true;
  const emit = socket.emit.bind(socket);
  const emitEnd = (): boolean => {
    if (socket.destroyed) return false;
    if (!isPaused(socket)) return emit('end');
    setTimeout(emitEnd, RECHECK_MS).unref();
    return true;
  };
  socket.emit = (event: string | symbol, ...args: unknown[]): boolean =>
    event === 'end' ? emitEnd() : emit(event, ...args);
}

/** A connector for undici's agents whose sockets have the guard. */
export function guardConnector(connect: buildConnector.connector): buildConnector.connector {
  return (options, callback) => {
    connect(options, (...result) => {
      const [error, socket] = result;
      if (error === null) holdEndWhilePaused(socket);
      callback(...result);
    });
  };
}
