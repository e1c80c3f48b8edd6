/** Entry of the process that puts load on a server: see `range-load.ts`. */
import { connect, type Socket } from 'node:net';
import { createRandom } from '../core/random.ts';
import type { RangeLoad, RangeLoadResult } from './range-load.ts';

const BUFFER_BYTES = 256 * 1024;
const SEED = 11;

async function run(load: RangeLoad): Promise<RangeLoadResult> {
  const random = createRandom(SEED);
  let left = load.requestCount;
  let bodyBytes = 0;
  const start = performance.now();
  const connection = (): Promise<void> =>
    new Promise((resolve, reject) => {
      /** of the answer under way; undefined while its headers come */
      let bodyLeft: number | undefined;
      let headers = '';
      const next = (): void => {
        if (left === 0) {
          socket.destroy();
          resolve();
          return;
        }
        left -= 1;
        bodyLeft = undefined;
        headers = '';
        const first = Math.floor(random.uniform() * (load.fileBytes - load.rangeBytes));
        const range = `bytes=${first}-${first + load.rangeBytes - 1}`;
        socket.write(`GET ${load.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: ${range}\r\n\r\n`);
      };
      const received = (count: number, buffer: Uint8Array): boolean => {
        let bytes = count;
        if (bodyLeft === undefined) {
          const before = headers.length;
          headers += Buffer.from(buffer.buffer, buffer.byteOffset, count).toString('latin1');
          const end = headers.indexOf('\r\n\r\n');
          if (end < 0) return true;
          if (!headers.startsWith('HTTP/1.1 206 ')) reject(new Error(`the server answers ${headers.slice(0, 80)}`));
          bodyLeft = load.rangeBytes;
          bytes = before + count - end - 4;
        }
        bodyBytes += bytes;
        bodyLeft -= bytes;
        if (bodyLeft === 0) next();
        return true;
      };
      const onread = { buffer: Buffer.allocUnsafeSlow(BUFFER_BYTES), callback: received };
      const socket: Socket = connect({ host: '127.0.0.1', port: load.port, onread }, next);
      socket.once('error', reject);
    });
  await Promise.all(Array.from({ length: load.connectionCount }, connection));
  return { bodyBytes, wallMs: performance.now() - start };
}

process.once('message', (load: RangeLoad) => {
  run(load).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
process.once('disconnect', () => process.exit(0));
